// The CUDA device in the words of device/device.h, for graphs that are written for any device, with a count of what was
// replayed. `replaying` false: every step is a graph of its own and is called.
#pragma once
#include "cuda/cuda_device.h"
#include "device/device.h"

namespace mmprm::cuda {

class AsDevice final : public Device {
 public:
  explicit AsDevice(bool replaying) : replaying_(replaying) {}

  int num_replayed() const { return runs_ - called_; }

  const DeviceInfo& info() const override { return cuda_.info(); }
  uint64_t free_bytes() const override { return cuda_.free_bytes(); }
  Tensor allocate(int rows, int cols, DType dtype) override { return cuda_.allocate(rows, cols, dtype); }
  void release(const Tensor& tensor) noexcept override {
    if (!tensor.empty()) cuda_.release(tensor);
  }
  void write(const Tensor& to, const void* rows) override { cuda_.write(to, rows); }
  void read(void* rows, const Tensor& from) override { cuda_.read(rows, from); }
  Linear pack(std::span<const RowRef> rows, int K, DType as, std::span<const float> bias,
              bool gated) override {
    return cuda_.pack(
        {rows.data(), bias.empty() ? nullptr : bias.data(), int32_t(rows.size()), K, gated, as});
  }
  Table table(std::span<const RowRef> rows, int cols) override { return cuda_.table(rows, cols); }
  uint64_t page_bytes(const PageShape& shape) const override { return cuda_.page_bytes(shape); }
  Pages pages(const PageShape& shape, int count) override { return cuda_.pages(shape, count); }
  void release(const Pages& pages) noexcept override {
    if (pages.id > 0) cuda_.release(pages);
  }
  Staged stage(const StepPlan& plan, const Pages& pages) override { return cuda_.stage(plan, pages); }

  void run(const StepKey& key, const std::function<void()>&, const std::function<void()>& graph) override {
    StepKey own = key;
    if (!replaying_) own.graph = (uint64_t{1} << 32) + uint64_t(runs_);
    ++runs_;
    cuda_.run(own, [&] { return ++called_, graph(), true; });
  }

#define MMPRM_DEVICE_OP(name, Op) \
  void name(const Op& op) override { cuda_.name(op); }
#include "device/device_ops.def"
#undef MMPRM_DEVICE_OP
  void sample(const SampleOp& op) override { cuda_.sample(op); }

 private:
  CudaDevice cuda_{0};
  bool replaying_;
  int runs_ = 0, called_ = 0;
};

}  // namespace mmprm::cuda
