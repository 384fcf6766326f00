// Training on the CPU: kernels over threads, plain loops where memory is only moved, and the working memory that ops
// share. What the ops mean: device/training_ops.h.
#pragma once
#include <map>
#include <vector>

#include "cpu/cpu_device.h"

namespace mmprm {

class CpuTraining final : public TrainingOps {
 public:
  explicit CpuTraining(CpuDevice& device)
      : device_(device), pool_(device.pool()), kernels_(device.kernels()) {}

  Tensor allocate(int rows, int cols) override { return device_.allocate(rows, cols, DType::kF32, cols); }
  StagedTrees stage(const TreePlan& plan) override;
  void release(const StagedTrees& trees) noexcept override { trees_.erase(trees.id); }

#define MMPRM_TRAINING_OP(name, Op) void name(const Op& op) override;
#include "device/training_ops.def"
#undef MMPRM_TRAINING_OP

 private:
  const TreePlan& plan_of(const StagedTrees& trees) const;
  TreeAttentionArgs attention_args(const TreeAttentionOp& op) const;
  void run_attention(const TreeAttentionArgs& args,
                     void (*run)(const TreeAttentionArgs& args, int64_t unit, float* scratch));
  template <typename Body>
  void for_rows(int64_t rows, Body&& body);
  template <typename Body>
  void for_strips(int cols, Body&& body);

  CpuDevice& device_;
  ThreadPool& pool_;
  const KernelTable& kernels_;
  std::map<uint32_t, TreePlan> trees_;
  uint32_t last_id_ = 0;
  AlignedBuffer packed_;                // of products
  AlignedBuffer partial_;               // sums over blocks of rows
  std::vector<AlignedBuffer> scratch_;  // of attention, one per thread
};

}  // namespace mmprm
