// A step's plan on its way to the device: arrays whose addresses stay, so that recorded steps find the next plan there.
#pragma once
#include <vector>

#include "cuda/memory.h"
#include "cuda/plan.h"
#include "kernels/attention/attention_cuda.h"

namespace mmprm::cuda {

// How attention is to be cut; 0 heads: not known yet. `window`: of the layers that slide; 0: none has yet.
struct AttentionNeeds {
  int heads_H = 0, heads_G = 1, padded_D = 0, multiprocessors = 1, window = 0;

  int rows_per_item() const { return kAttendRows / (heads_H / heads_G); }
  int64_t partial_bytes() const { return int64_t(heads_H) * (padded_D + 2) * 4; }
  bool operator==(const AttentionNeeds&) const = default;
};

class PlanUpload {
 public:
  explicit PlanUpload(cudaStream_t stream);
  ~PlanUpload();

  // Enqueues all copies. `needs` may be unknown: then attention's work comes with cut_attention().
  void stage(const StepPlan& plan, const AttentionNeeds& needs);
  void cut_attention(const AttentionNeeds& needs);
  const AttentionNeeds& needs() const { return needs_; }

  const DevicePlan& plan() const { return device_plan_; }
  const DeviceAttendWork& work(bool outputs_only, int window) const {
    return work_[2 * (window > 0) + outputs_only];
  }
  // Rises when an address changed: what was recorded before is void.
  int generation() const { return generation_; }

 private:
  template <typename T>
  const T* put(int array, const std::vector<T>& values);
  void put_work(int place, const AttendWork& work, const std::vector<AttendRow>& rows, int max_partials);
  void begin_copies(size_t bytes);
  void end_copies();

  static constexpr int kArrays = 32;
  static constexpr size_t kPartialBytes = size_t(128) << 20;
  cudaStream_t stream_;
  cudaEvent_t copied_ = nullptr;
  bool copying_ = false;
  PinnedMemory pinned_;
  size_t used_ = 0;
  DeviceMemory arrays_[kArrays], partials_;
  StepPlan plan_;
  AttentionNeeds needs_;
  DevicePlan device_plan_;
  DeviceAttendWork work_[4];  // of all rows, of output rows; then of both behind the window
  int generation_ = 0;
};

}  // namespace mmprm::cuda
