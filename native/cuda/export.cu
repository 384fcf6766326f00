// The C table of a CUDA device, the one symbol of its library.
#include <cstring>

#include "cuda/cuda_device.h"

namespace mmprm::cuda {
namespace {

int32_t fill(DeviceFault* fault, ErrorCode code, const char* message) {
  std::strncpy(fault->message, message, sizeof fault->message - 1);
  fault->message[sizeof fault->message - 1] = '\0';
  return int32_t(code) + 1;
}

// No exception may cross.
template <typename Body>
int32_t answer(DeviceFault* fault, Body&& body) {
  try {
    body();
    return 0;
  } catch (const Error& e) {
    return fill(fault, e.code(), e.what());
  } catch (const std::exception& e) {
    return fill(fault, ErrorCode::kInternal, e.what());
  }
}

CudaDevice& device_of(void* device) { return *static_cast<CudaDevice*>(device); }

template <typename Body>
int32_t answer(void* device, DeviceFault* fault, Body&& body) {
  CudaDevice& d = device_of(device);
  return answer(fault, [&] {
    d.enter();
    try {
      body(d);
    } catch (const Error& e) {
      if (e.code() == ErrorCode::kDeviceFault) d.failed(e);
      throw;
    }
  });
}

template <typename T>
std::vector<T> vector_of(const T* data, int32_t count) {
  return count > 0 ? std::vector<T>(data, data + count) : std::vector<T>();
}

StepPlan plan_of(const StepPlanView& v) {
  StepPlan plan;
  if (v.has_tokens) plan.tokens_T = vector_of(v.tokens_T, v.num_rows);
  if (v.has_positions) plan.positions_T = vector_of(v.positions_T, v.num_rows);
  plan.pages = vector_of(v.pages, v.num_pages);
  plan.keys_T = vector_of(v.keys_T, v.num_rows);
  plan.slots = vector_of(v.slots, v.num_slots);
  plan.slot_begin_T1 = vector_of(v.slot_begin_T1, v.num_rows + 1);
  plan.page_ops = vector_of(v.page_ops, v.num_page_ops);
  plan.output_rows = vector_of(v.output_rows, v.num_outputs);
  plan.head_outputs = vector_of(v.head_outputs, v.num_head_outputs);
  plan.pair_outputs = vector_of(v.pair_outputs, v.num_pair_outputs);
  return plan;
}

const DeviceApi kApi = {
    kDeviceAbi,
    sizeof(DeviceApi),
    [](int32_t* count, DeviceFault* f) { return answer(f, [&] { *count = CudaDevice::count(); }); },
    [](int32_t ordinal, DeviceInfo* info, DeviceFault* f) {
      return answer(f, [&] { *info = CudaDevice::describe(ordinal); });
    },
    [](int32_t ordinal, void** device, DeviceFault* f) {
      return answer(f, [&] { *device = new CudaDevice(ordinal); });
    },
    [](void* device) { delete static_cast<CudaDevice*>(device); },
    [](void* device, DeviceInfo* info, DeviceFault* f) {
      return answer(device, f, [&](CudaDevice& d) { *info = d.info(); });
    },
    [](void* device, uint64_t* bytes, DeviceFault* f) {
      return answer(device, f, [&](CudaDevice& d) { *bytes = d.free_bytes(); });
    },
    [](void* device, int32_t rows, int32_t cols, DType dtype, Tensor* tensor, DeviceFault* f) {
      return answer(device, f, [&](CudaDevice& d) { *tensor = d.allocate(rows, cols, dtype); });
    },
    [](void* device, const Tensor* tensor) {
      DeviceFault ignored;
      answer(&ignored, [&] { device_of(device).release(*tensor); });
    },
    [](void* device, const Tensor* to, const void* rows, DeviceFault* f) {
      return answer(device, f, [&](CudaDevice& d) { d.write(*to, rows); });
    },
    [](void* device, void* rows, const Tensor* from, DeviceFault* f) {
      return answer(device, f, [&](CudaDevice& d) { d.read(rows, *from); });
    },
    [](void* device, const PackRequest* request, Linear* linear, DeviceFault* f) {
      return answer(device, f, [&](CudaDevice& d) { *linear = d.pack(*request); });
    },
    [](void* device, const RowRef* rows, int32_t num_rows, int32_t cols, Table* table, DeviceFault* f) {
      return answer(device, f, [&](CudaDevice& d) { *table = d.table({rows, size_t(num_rows)}, cols); });
    },
    [](void* device, const PageShape* shape, uint64_t* bytes, DeviceFault* f) {
      return answer(device, f, [&](CudaDevice& d) { *bytes = d.page_bytes(*shape); });
    },
    [](void* device, const PageShape* shape, int32_t count, Pages* pages, DeviceFault* f) {
      return answer(device, f, [&](CudaDevice& d) { *pages = d.pages(*shape, count); });
    },
    [](void* device, const Pages* pages) {
      DeviceFault ignored;
      answer(&ignored, [&] { device_of(device).release(*pages); });
    },
    [](void* device, const StepPlanView* plan, const Pages* pages, Staged* staged, DeviceFault* f) {
      return answer(device, f, [&](CudaDevice& d) { *staged = d.stage(plan_of(*plan), *pages); });
    },
    [](void* device, const StepKey* key, GraphCall graph, void* context, DeviceFault* f) {
      bool done = true;
      const int32_t code =
          answer(device, f, [&](CudaDevice& d) { done = d.run(*key, [&] { return graph(context) == 0; }); });
      return code != 0 ? code : done ? 0 : kGraphThrew;
    },
    [](void* device, const SampleOp* op, DeviceFault* f) {
      return answer(device, f, [&](CudaDevice& d) { d.sample(*op); });
    },
#define MMPRM_DEVICE_OP(name, Op)                                  \
  [](void* device, const Op* op, DeviceFault* f) {                 \
    return answer(device, f, [&](CudaDevice& d) { d.name(*op); }); \
  },
#include "device/device_ops.def"
#undef MMPRM_DEVICE_OP
};

}  // namespace
}  // namespace mmprm::cuda

extern "C" __attribute__((visibility("default"))) const mmprm::DeviceApi* mmprm_device_api() {
  return &mmprm::cuda::kApi;
}
