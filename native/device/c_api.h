// The one symbol of a device that lies in a library of its own (mm_prm_cuda.so): a table of plain functions. No
// exception, no std:: type and no CUDA type crosses; both sides carry their own C++ library. Every call returns
// 0, or an ErrorCode + 1 with the fault filled in.
#pragma once
#include <cstddef>

#include "device/device.h"

namespace mmprm {

constexpr uint32_t kDeviceAbi = 3;

struct DeviceFault {
  char message[512];
};

// StepPlan, borrowed.
struct StepPlanView {
  const int32_t *tokens_T, *positions_T, *pages, *slot_begin_T1, *output_rows, *head_outputs;
  const KeyRun* keys_T;
  const Slot* slots;
  const PageOp* page_ops;
  const PairOutput* pair_outputs;
  int32_t num_rows, num_pages, num_slots, num_page_ops, num_outputs, num_head_outputs, num_pair_outputs;
  int32_t has_tokens, has_positions;
};

struct PackRequest {
  const RowRef* rows_N;
  const float* bias_N;  // null: none
  int32_t N, K, gated;
  DType as;
};

// A graph over the border: 0, or kGraphThrew once the caller's own code has thrown and kept the exception.
using GraphCall = int32_t (*)(void* context);
constexpr int32_t kGraphThrew = -1;

struct DeviceApi {
  uint32_t abi, bytes;  // kDeviceAbi, sizeof(DeviceApi)

  int32_t (*num_devices)(int32_t* count, DeviceFault*);
  int32_t (*describe)(int32_t ordinal, DeviceInfo*, DeviceFault*);  // without opening it
  int32_t (*open)(int32_t ordinal, void** device, DeviceFault*);
  void (*close)(void* device);
  int32_t (*info)(void* device, DeviceInfo*, DeviceFault*);
  int32_t (*free_bytes)(void* device, uint64_t*, DeviceFault*);

  int32_t (*allocate)(void* device, int32_t rows, int32_t cols, DType dtype, Tensor*, DeviceFault*);
  void (*release_tensor)(void* device, const Tensor*);
  int32_t (*write)(void* device, const Tensor*, const void* rows, DeviceFault*);
  int32_t (*read)(void* device, void* rows, const Tensor*, DeviceFault*);
  int32_t (*pack)(void* device, const PackRequest*, Linear*, DeviceFault*);
  int32_t (*table)(void* device, const RowRef* rows, int32_t num_rows, int32_t cols, Table*, DeviceFault*);
  int32_t (*page_bytes)(void* device, const PageShape*, uint64_t*, DeviceFault*);
  int32_t (*pages)(void* device, const PageShape*, int32_t count, Pages*, DeviceFault*);
  void (*release_pages)(void* device, const Pages*);

  int32_t (*stage)(void* device, const StepPlanView*, const Pages*, Staged*, DeviceFault*);
  int32_t (*run)(void* device, const StepKey*, GraphCall graph, void* context, DeviceFault*);
  int32_t (*sample)(void* device, const SampleOp*, DeviceFault*);

#define MMPRM_DEVICE_OP(name, Op) int32_t (*name)(void* device, const Op*, DeviceFault*);
#include "device/device_ops.def"
#undef MMPRM_DEVICE_OP
};

constexpr char kDeviceApiSymbol[] = "mmprm_device_api";
using DeviceApiFunction = const DeviceApi* (*)();

}  // namespace mmprm
