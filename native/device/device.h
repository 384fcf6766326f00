// What a model graph, the scheduler and the engine see of the machine they run on.
//
// Calls enqueue in order; only read() and sample() wait. One thread per device at a time. Errors
// are typed: kOutOfMemory where memory is asked for, kDeviceFault once a device has failed: every
// later call answers the same.
#pragma once
#include <functional>
#include <span>

#include "device/ops.h"
#include "device/sample.h"
#include "device/step_plan.h"
#include "device/training_ops.h"

namespace mmprm {

struct DeviceInfo {
  char kind[16] = {};          // "cpu", "cuda"
  char name[96] = {};          // "avx512bf16, 2 threads", "NVIDIA H100 80GB HBM3"
  char result_class[32] = {};  // "avx2", "sm80", "sm90": bits are equal within one class
  int32_t num_threads = 0;     // of a CPU
  uint64_t total_bytes = 0;
  // Rows that stay close between two products; a graph works its rows off in such blocks.
  int32_t row_block = 512;
  DType activations[5] = {};  // by DType of the weights that they meet

  DType activation(DType weights) const { return activations[static_cast<int>(weights)]; }
};

// Which recording a step may replay: equal keys mean the same sequence of ops on the same tensors.
struct StepKey {
  uint64_t graph = 0;  // names the graph and the memory that it works in
  int32_t rows = 0, outputs = 0, heads = 0, pairs = 0;

  StepKey() = default;
  StepKey(uint64_t graph, const Staged& plan)
      : graph(graph), rows(plan.rows), outputs(plan.outputs), heads(plan.heads), pairs(plan.pairs) {}
  bool operator==(const StepKey&) const = default;
};

class Device {
 public:
  virtual ~Device() = default;
  virtual const DeviceInfo& info() const = 0;
  virtual uint64_t free_bytes() const = 0;

  // Zero; strides as this device's kernels want them.
  virtual Tensor allocate(int rows, int cols, DType dtype) = 0;
  virtual void release(const Tensor& tensor) noexcept = 0;
  // `rows`: tensor.rows · tensor.cols elements of its dtype, one row behind the other.
  virtual void write(const Tensor& to, const void* rows) = 0;
  virtual void read(void* rows, const Tensor& from) = 0;  // waits; faults of earlier ops come out here

  // Weights live as long as the device. Rows are read before the call returns, but for a CPU's tables, whose
  // rows must stay mapped. bias_N may be empty. `gated`: see Linear.
  virtual Linear pack(std::span<const RowRef> rows_N, int K, DType as, std::span<const float> bias_N,
                      bool gated) = 0;
  virtual Table table(std::span<const RowRef> rows, int cols) = 0;

  virtual uint64_t page_bytes(const PageShape& shape) const = 0;  // of one page in all layers
  virtual Pages pages(const PageShape& shape, int count) = 0;     // zero
  virtual void release(const Pages& pages) noexcept = 0;

  // One upload for all layers of a step. Valid until the next call.
  virtual Staged stage(const StepPlan& plan, const Pages& pages) = 0;

  // Runs `graph`, or replays what an equal key recorded. `graph` calls ops of this device and nothing else: it
  // reads no result, allocates nothing, and branches on the key alone. `stop` is asked where that is possible
  // and throws to end the step.
  virtual void run(const StepKey& key, const std::function<void()>& stop,
                   const std::function<void()>& graph) = 0;

#define MMPRM_DEVICE_OP(name, Op) virtual void name(const Op& op) = 0;
#include "device/device_ops.def"
#undef MMPRM_DEVICE_OP

  virtual void sample(const SampleOp& op) = 0;  // waits; outside run()

  virtual TrainingOps* training() { return nullptr; }  // null: this device does not train
};

}  // namespace mmprm
