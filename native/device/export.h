// A device as the table of functions that its library exports: what a library's one source file includes.
//
//   struct Backend {
//     static int32_t num_devices();                          // 0 where there are none; may throw why
//     static DeviceInfo describe(int32_t ordinal);
//     static std::unique_ptr<Device> open(int32_t ordinal);
//     template <typename Body> static void call(Device&, Body&&);  // around every call of an open device
//   };
//   extern "C" … const DeviceApi* mmprm_device_api() { return exported_device_api<Backend>(); }
#pragma once
#include <cstring>
#include <memory>
#include <new>

#include "device/c_api.h"
#include "include/engine/error.h"

namespace mmprm::exported {

struct GraphThrew {};

inline int32_t fail(ErrorCode code, const char* message, DeviceFault* fault) {
  std::strncpy(fault->message, message, sizeof fault->message - 1);
  fault->message[sizeof fault->message - 1] = '\0';
  return static_cast<int32_t>(code) + 1;
}

// Nothing may be thrown over the border.
template <typename Body>
int32_t guarded(DeviceFault* fault, Body&& body) {
  try {
    body();
    return 0;
  } catch (const GraphThrew&) {
    return kGraphThrew;
  } catch (const Error& e) {
    return fail(e.code(), e.what(), fault);
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::kOutOfMemory, "out of memory", fault);
  } catch (const std::exception& e) {
    return fail(ErrorCode::kInternal, e.what(), fault);
  } catch (...) {
    return fail(ErrorCode::kInternal, "unknown failure of a device", fault);
  }
}

inline Device& of(void* device) { return *static_cast<Device*>(device); }

template <typename Backend, typename Body>
int32_t guarded_call(void* device, DeviceFault* fault, Body&& body) {
  return guarded(fault, [&] { Backend::call(of(device), [&] { body(of(device)); }); });
}

template <typename T>
std::vector<T> copied(const T* values, int32_t count) {
  return count > 0 ? std::vector<T>(values, values + count) : std::vector<T>();
}

inline StepPlan plan_of(const StepPlanView& v) {
  StepPlan plan;
  plan.tokens_T = copied(v.tokens_T, v.has_tokens ? v.num_rows : 0);
  plan.positions_T = copied(v.positions_T, v.has_positions ? v.num_rows : 0);
  plan.pages = copied(v.pages, v.num_pages);
  plan.keys_T = copied(v.keys_T, v.num_rows);
  plan.slots = copied(v.slots, v.num_slots);
  plan.slot_begin_T1 = copied(v.slot_begin_T1, v.num_rows + 1);
  plan.page_ops = copied(v.page_ops, v.num_page_ops);
  plan.output_rows = copied(v.output_rows, v.num_outputs);
  plan.head_outputs = copied(v.head_outputs, v.num_head_outputs);
  plan.pair_outputs = copied(v.pair_outputs, v.num_pair_outputs);
  return plan;
}

template <typename Backend>
DeviceApi make_api() {
  DeviceApi api{};
  api.abi = kDeviceAbi;
  api.bytes = sizeof(DeviceApi);
  api.num_devices = [](int32_t* count, DeviceFault* fault) {
    return guarded(fault, [&] { *count = Backend::num_devices(); });
  };
  api.describe = [](int32_t ordinal, DeviceInfo* info, DeviceFault* fault) {
    return guarded(fault, [&] { *info = Backend::describe(ordinal); });
  };
  api.open = [](int32_t ordinal, void** device, DeviceFault* fault) {
    return guarded(fault, [&] { *device = Backend::open(ordinal).release(); });
  };
  api.close = [](void* device) { delete static_cast<Device*>(device); };
  api.info = [](void* device, DeviceInfo* info, DeviceFault* fault) {
    return guarded_call<Backend>(device, fault, [&](Device& d) { *info = d.info(); });
  };
  api.free_bytes = [](void* device, uint64_t* bytes, DeviceFault* fault) {
    return guarded_call<Backend>(device, fault, [&](Device& d) { *bytes = d.free_bytes(); });
  };
  api.allocate = [](void* device, int32_t rows, int32_t cols, DType dtype, Tensor* out, DeviceFault* fault) {
    return guarded_call<Backend>(device, fault, [&](Device& d) { *out = d.allocate(rows, cols, dtype); });
  };
  api.release_tensor = [](void* device, const Tensor* tensor) { of(device).release(*tensor); };
  api.write = [](void* device, const Tensor* to, const void* rows, DeviceFault* fault) {
    return guarded_call<Backend>(device, fault, [&](Device& d) { d.write(*to, rows); });
  };
  api.read = [](void* device, void* rows, const Tensor* from, DeviceFault* fault) {
    return guarded_call<Backend>(device, fault, [&](Device& d) { d.read(rows, *from); });
  };
  api.pack = [](void* device, const PackRequest* r, Linear* out, DeviceFault* fault) {
    return guarded_call<Backend>(device, fault, [&](Device& d) {
      const std::span<const float> bias(r->bias_N, r->bias_N ? size_t(r->N) : 0);
      *out = d.pack({r->rows_N, size_t(r->N)}, r->K, r->as, bias, r->gated != 0);
    });
  };
  api.table = [](void* device, const RowRef* rows, int32_t num_rows, int32_t cols, Table* out,
                 DeviceFault* fault) {
    return guarded_call<Backend>(device, fault, [&](Device& d) {
      *out = d.table({rows, size_t(num_rows)}, cols);
    });
  };
  api.page_bytes = [](void* device, const PageShape* shape, uint64_t* bytes, DeviceFault* fault) {
    return guarded_call<Backend>(device, fault, [&](Device& d) { *bytes = d.page_bytes(*shape); });
  };
  api.pages = [](void* device, const PageShape* shape, int32_t count, Pages* out, DeviceFault* fault) {
    return guarded_call<Backend>(device, fault, [&](Device& d) { *out = d.pages(*shape, count); });
  };
  api.release_pages = [](void* device, const Pages* pages) { of(device).release(*pages); };
  api.stage = [](void* device, const StepPlanView* plan, const Pages* pages, Staged* out,
                 DeviceFault* fault) {
    return guarded_call<Backend>(device, fault, [&](Device& d) { *out = d.stage(plan_of(*plan), *pages); });
  };
  api.run = [](void* device, const StepKey* key, GraphCall graph, void* context, DeviceFault* fault) {
    return guarded_call<Backend>(device, fault, [&](Device& d) {
      d.run(*key, {}, [&] {
        if (graph(context) != 0) throw GraphThrew();
      });
    });
  };
  api.sample = [](void* device, const SampleOp* op, DeviceFault* fault) {
    return guarded_call<Backend>(device, fault, [&](Device& d) { d.sample(*op); });
  };
#define MMPRM_DEVICE_OP(name, Op)                                                 \
  api.name = [](void* device, const Op* op, DeviceFault* fault) {                 \
    return guarded_call<Backend>(device, fault, [&](Device& d) { d.name(*op); }); \
  };
#include "device/device_ops.def"
#undef MMPRM_DEVICE_OP
  return api;
}

}  // namespace mmprm::exported

namespace mmprm {

template <typename Backend>
const DeviceApi* exported_device_api() {
  static const DeviceApi api = exported::make_api<Backend>();
  return &api;
}

}  // namespace mmprm
