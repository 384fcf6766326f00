// The CPU as a device: kernels of one instruction set × threads × memory. Work is cut into units by shapes
// alone, so bits depend neither on threads nor on who ran what.
#pragma once
#include <map>
#include <memory>

#include "cpu/aligned_buffer.h"
#include "cpu/page_store.h"
#include "cpu/thread_pool.h"
#include "device/device.h"
#include "kernels/table.h"

namespace mmprm {

class CpuDevice final : public Device {
 public:
  // Throws kInvalidArgument where this build or processor lacks `isa`.
  CpuDevice(Isa isa, int num_threads);

  const DeviceInfo& info() const override { return info_; }
  uint64_t free_bytes() const override;

  Tensor allocate(int rows, int cols, DType dtype) override;
  Tensor allocate(int rows, int cols, DType dtype, int64_t stride);
  void release(const Tensor& tensor) noexcept override;
  void write(const Tensor& to, const void* rows) override;
  void read(void* rows, const Tensor& from) override;

  Linear pack(std::span<const RowRef> rows_N, int K, DType as, std::span<const float> bias_N,
              bool gated) override;
  Table table(std::span<const RowRef> rows, int cols) override;

  uint64_t page_bytes(const PageShape& shape) const override;
  Pages pages(const PageShape& shape, int count) override;
  void release(const Pages& pages) noexcept override;

  Staged stage(const StepPlan& plan, const Pages& pages) override;
  void run(const StepKey& key, const std::function<void()>& stop,
           const std::function<void()>& graph) override;

#define MMPRM_DEVICE_OP(name, Op) void name(const Op& op) override;
#include "device/device_ops.def"
#undef MMPRM_DEVICE_OP

  void sample(const SampleOp& op) override;

  TrainingOps* training() override;

  ThreadPool& pool() { return pool_; }
  const KernelTable& kernels() const { return kernels_; }

 private:
  struct PackedLinear {
    PackedMatrix matrix;
    std::vector<float> bias;  // empty: none
    AlignedBuffer storage;
  };
  // The plan that is staged, and which keys each row, and each output row, sees.
  struct StagedPlan {
    uint32_t id = 0;
    StepPlan plan;
    std::vector<RowKeys> rows_T, output_rows;
  };

  const StagedPlan& staged(const Staged& plan) const;
  KvPages layer_of(const Pages& pages, int layer) const;
  template <typename Body>
  void for_rows(int64_t rows, Body&& body);

  const KernelTable& kernels_;
  ThreadPool pool_;
  DeviceInfo info_;
  std::map<uint64_t, AlignedBuffer> tensors_;  // by address
  std::vector<PackedLinear> linears_;          // by id - 1, as the next two
  std::vector<std::vector<RowRef>> tables_;
  std::vector<std::unique_ptr<PageStore>> pages_;
  StagedPlan staged_;
  AlignedBuffer prepared_rows_;  // scratch of gemm with quantised weights
  const std::function<void()>* stop_ = nullptr;
  std::unique_ptr<TrainingOps> training_;
};

}  // namespace mmprm
