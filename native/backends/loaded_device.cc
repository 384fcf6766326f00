#include "backends/loaded_device.h"

#include <dlfcn.h>

#include "device/c_api.h"
#include "include/engine/error.h"

namespace mmprm {
namespace {

[[noreturn]] void no_device(const std::string& why) { throw Error(ErrorCode::kNoDevice, why); }

// WHY never unloaded: a driver's threads may outlive the last device.
const DeviceApi& api_of(const std::string& library) {
  void* handle = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) no_device(library + " does not load: " + ::dlerror());
  const auto function = reinterpret_cast<DeviceApiFunction>(::dlsym(handle, kDeviceApiSymbol));
  if (!function) no_device(library + " is no device library: it lacks " + kDeviceApiSymbol);
  const DeviceApi& api = *function();
  if (api.abi != kDeviceAbi || api.bytes != sizeof(DeviceApi)) {
    no_device(library + " belongs to another version (interface " + std::to_string(api.abi) + " of " +
              std::to_string(api.bytes) + " bytes; wanted: " + std::to_string(kDeviceAbi) + " of " +
              std::to_string(sizeof(DeviceApi)) + "): install the one of this version");
  }
  return api;
}

void check(int32_t code, const DeviceFault& fault) {
  if (code != 0) throw Error(static_cast<ErrorCode>(code - 1), fault.message);
}

template <typename Call, typename... Args>
void call(Call function, Args... args) {
  DeviceFault fault{};
  check(function(args..., &fault), fault);
}

int num_devices(const std::string& library, const DeviceApi& api) {
  int32_t count = 0;
  call(api.num_devices, &count);
  if (count == 0) no_device(library + " finds no device");
  return count;
}

StepPlanView view_of(const StepPlan& p) {
  const auto count = [](const auto& v) { return static_cast<int32_t>(v.size()); };
  StepPlanView v{};
  v.tokens_T = p.tokens_T.data();
  v.positions_T = p.positions_T.data();
  v.pages = p.pages.data();
  v.slot_begin_T1 = p.slot_begin_T1.data();
  v.output_rows = p.output_rows.data();
  v.head_outputs = p.head_outputs.data();
  v.keys_T = p.keys_T.data();
  v.slots = p.slots.data();
  v.page_ops = p.page_ops.data();
  v.pair_outputs = p.pair_outputs.data();
  v.num_rows = p.num_rows();
  v.num_pages = count(p.pages);
  v.num_slots = count(p.slots);
  v.num_page_ops = count(p.page_ops);
  v.num_outputs = p.num_outputs();
  v.num_head_outputs = count(p.head_outputs);
  v.num_pair_outputs = count(p.pair_outputs);
  v.has_tokens = !p.tokens_T.empty();
  v.has_positions = !p.positions_T.empty();
  return v;
}

class LoadedDevice final : public Device {
 public:
  LoadedDevice(const DeviceApi& api, int ordinal) : api_(api) {
    call(api_.open, ordinal, &device_);
    try {
      call(api_.info, device_, &info_);
    } catch (...) {
      api_.close(device_);
      throw;
    }
  }
  ~LoadedDevice() override { api_.close(device_); }

  const DeviceInfo& info() const override { return info_; }
  uint64_t free_bytes() const override {
    uint64_t bytes = 0;
    call(api_.free_bytes, device_, &bytes);
    return bytes;
  }
  Tensor allocate(int rows, int cols, DType dtype) override {
    Tensor out;
    call(api_.allocate, device_, int32_t{rows}, int32_t{cols}, dtype, &out);
    return out;
  }
  void release(const Tensor& tensor) noexcept override {
    if (!tensor.empty()) api_.release_tensor(device_, &tensor);
  }
  void write(const Tensor& to, const void* rows) override { call(api_.write, device_, &to, rows); }
  void read(void* rows, const Tensor& from) override { call(api_.read, device_, rows, &from); }
  Linear pack(std::span<const RowRef> rows_N, int K, DType as, std::span<const float> bias_N,
              bool gated) override {
    const PackRequest request{rows_N.data(),
                              bias_N.empty() ? nullptr : bias_N.data(),
                              static_cast<int32_t>(rows_N.size()),
                              K,
                              gated,
                              as};
    Linear out;
    call(api_.pack, device_, &request, &out);
    return out;
  }
  Table table(std::span<const RowRef> rows, int cols) override {
    Table out;
    call(api_.table, device_, rows.data(), static_cast<int32_t>(rows.size()), int32_t{cols}, &out);
    return out;
  }
  uint64_t page_bytes(const PageShape& shape) const override {
    uint64_t bytes = 0;
    call(api_.page_bytes, device_, &shape, &bytes);
    return bytes;
  }
  Pages pages(const PageShape& shape, int count) override {
    Pages out;
    call(api_.pages, device_, &shape, int32_t{count}, &out);
    return out;
  }
  void release(const Pages& pages) noexcept override {
    if (pages.id > 0) api_.release_pages(device_, &pages);
  }
  Staged stage(const StepPlan& plan, const Pages& pages) override {
    const StepPlanView view = view_of(plan);
    Staged out;
    call(api_.stage, device_, &view, &pages, &out);
    return out;
  }

  // Asks `stop` before the device begins: what is recorded cannot end half way.
  void run(const StepKey& key, const std::function<void()>& stop,
           const std::function<void()>& graph) override {
    if (stop) stop();
    struct Context {
      const std::function<void()>& graph;
      std::exception_ptr thrown;
    } context{graph, nullptr};
    const GraphCall call_graph = [](void* pointer) -> int32_t {
      Context& c = *static_cast<Context*>(pointer);
      try {
        c.graph();
        return 0;
      } catch (...) {
        c.thrown = std::current_exception();
        return kGraphThrew;
      }
    };
    DeviceFault fault{};
    const int32_t code = api_.run(device_, &key, call_graph, &context, &fault);
    if (context.thrown) std::rethrow_exception(context.thrown);
    check(code, fault);
  }

#define MMPRM_DEVICE_OP(name, Op) \
  void name(const Op& op) override { call(api_.name, device_, &op); }
#include "device/device_ops.def"
#undef MMPRM_DEVICE_OP

  void sample(const SampleOp& op) override { call(api_.sample, device_, &op); }

 private:
  const DeviceApi& api_;
  void* device_ = nullptr;
  DeviceInfo info_;
};

}  // namespace

std::vector<DeviceInfo> loaded_devices(const std::string& library) {
  const DeviceApi& api = api_of(library);
  std::vector<DeviceInfo> found(size_t(num_devices(library, api)));
  for (size_t i = 0; i < found.size(); ++i) call(api.describe, static_cast<int32_t>(i), &found[i]);
  return found;
}

std::unique_ptr<Device> open_loaded_device(const std::string& library, int ordinal) {
  const DeviceApi& api = api_of(library);
  const int count = num_devices(library, api);
  if (ordinal >= count) {
    no_device("there is no device " + std::to_string(ordinal) + ": " + library + " finds " +
              std::to_string(count));
  }
  return std::make_unique<LoadedDevice>(api, ordinal);
}

}  // namespace mmprm
