// The CUDA device with a count of what was replayed. `replaying` false: every step is a graph of its own and is called.
#pragma once
#include "cuda/cuda_device.h"

namespace mmprm::cuda {

class CountedDevice : public CudaDevice {
 public:
  explicit CountedDevice(bool replaying) : CudaDevice(0), replaying_(replaying) {}

  int num_replayed() const { return runs_ - called_; }

  void run(const StepKey& key, const std::function<void()>& stop,
           const std::function<void()>& graph) override {
    StepKey own = key;
    if (!replaying_) own.graph = (uint64_t{1} << 32) + uint64_t(runs_);
    ++runs_;
    CudaDevice::run(own, stop, [&] { ++called_, graph(); });
  }

 private:
  bool replaying_;
  int runs_ = 0, called_ = 0;
};

}  // namespace mmprm::cuda
