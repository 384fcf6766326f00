// Ops × parameters: products with weights and their adapters, norms, what else lies between the products of a layer,
// forward and backward. Owns the working memory that they share; knows nothing of layers.
#pragma once
#include <vector>

#include "models/workspace.h"
#include "train/parameters.h"

namespace mmprm {

// A low-rank addition to some rows of a weight: y[rows] += scale · (x·Aᵀ)·Bᵀ.
struct Adapter {
  Parameter* a = nullptr;  // [rank, K]
  Parameter* b = nullptr;  // [rows of the adapted tensor, rank]
  float scale = 1;
  std::vector<StoredTensor::Block>
      row_blocks;  // rows of the adapted tensor (in_tensor) -> rows of the weight
};

struct TrainLinear {
  Parameter* weight = nullptr;
  Parameter* bias = nullptr;
  std::vector<Adapter> adapters;
};

struct TrainNorm {
  Parameter* weight = nullptr;
  Parameter* bias = nullptr;  // null: an RMS norm
  float eps = 0;

  bool empty() const { return !weight; }
};

// A plan on the device, as long as this lives or until the next is staged.
class TreesOnDevice {
 public:
  explicit TreesOnDevice(TrainingOps& ops) : ops_(ops) {}
  TreesOnDevice(const TreesOnDevice&) = delete;
  TreesOnDevice& operator=(const TreesOnDevice&) = delete;
  ~TreesOnDevice() { ops_.release(trees_); }

  void stage(const TreePlan& plan) {
    ops_.release(trees_);
    trees_ = {};
    trees_ = ops_.stage(plan);
  }
  operator StagedTrees() const { return trees_; }

 private:
  TrainingOps& ops_;
  StagedTrees trees_;
};

// A parameter's values or gradient as one row.
inline Tensor as_row(const Tensor& t) {
  return {t.at, t.dtype, 1, t.rows * t.cols, int64_t(t.rows) * t.cols};
}

class TrainOps {
 public:
  // Products are computed in `compute`. The device must train.
  TrainOps(Device& device, DType compute)
      : device_(device), ops_(*device.training()), compute_(compute), workspace_(device) {}

  // y = x·wᵀ + bias (+ addend, which may be y)
  void linear(const TrainLinear& linear, const Tensor& x, const Tensor& y, const Tensor& addend = {});
  // Adds to the gradients of weight, bias and adapters, where they have one.
  void linear_grad_weight(const TrainLinear& linear, const Tensor& x, const Tensor& dy);
  // dx = dy·w
  void linear_grad_input(const TrainLinear& linear, const Tensor& dy, const Tensor& dx);

  void norm(const TrainNorm& norm, const Tensor& x, const Tensor& y);
  // dx += …
  void norm_grad(const TrainNorm& norm, const Tensor& x, const Tensor& dy, const Tensor& dx);

  void attention(TreeAttentionOp op) {
    op.compute = compute_;
    ops_.tree_attention(op);
  }
  // `op` as forward had it.
  void attention_grad(const TreeAttentionOp& op, const Tensor& d_o, const Tensor& d_qkv) {
    ops_.tree_attention_grad(
        {d_qkv, d_o, op.o, op.lse, op.qkv, op.trees, op.heads_H, op.heads_G, compute_, op.window});
  }

  void swiglu(const Tensor& gate_up, const Tensor& y) { ops_.swiglu({y, gate_up}); }
  void swiglu_grad(const Tensor& gate_up, const Tensor& y) { ops_.swiglu_grad({gate_up, y}); }
  void gelu(const Tensor& x, const Tensor& y) { ops_.gelu({y, x}); }
  void gelu_grad(const Tensor& x, const Tensor& y) { ops_.gelu_grad({x, y}); }
  void gelu_tanh(const Tensor& x, const Tensor& y) { ops_.gelu_tanh({y, x}); }
  void gelu_tanh_grad(const Tensor& x, const Tensor& y) { ops_.gelu_tanh_grad({x, y}); }
  void scaled_add(const Tensor& x, const Parameter& scale, const Tensor& z, const Tensor& y) {
    ops_.scaled_add({y, x, as_row(scale.value), z});
  }
  // dz = scale·dy, and the gradient of the scale. z and dz share their stride with dy.
  void scaled_grad(const Tensor& dy, const Parameter& scale, const Tensor& z, const Tensor& dz) {
    ops_.scaled_grad({dz, scale.gradient, dy, as_row(scale.value), z});
  }
  void copy(const Tensor& from, const Tensor& to) { device_.copy({to, from}); }
  void clear(const Tensor& x) { ops_.fill({x, 0}); }

  Device& device() const { return device_; }
  TrainingOps& device_ops() const { return ops_; }
  DType compute() const { return compute_; }

 private:
  struct Operand : MatmulOp::Operand {
    Operand(const Tensor& rows, bool transposed = false) : MatmulOp::Operand{rows, transposed} {}
  };
  // c = a·b, or c += a·b.
  void product(const Operand& a, const Operand& b, const Tensor& c, bool add = false);
  Tensor low_rank_rows(const Adapter& adapter, const Tensor& x);
  void adapter(const Adapter& adapter, const Tensor& x, const Tensor& y);
  void adapter_grad_weight(const Adapter& adapter, const Tensor& x, const Tensor& dy);
  Tensor adapter_grad_inner(const Adapter& adapter, const Tensor& dy);

  Device& device_;
  TrainingOps& ops_;
  DType compute_;
  Workspace workspace_;
  Tensor low_rank_, low_rank_grad_;
};

}  // namespace mmprm
