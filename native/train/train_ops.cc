#include "train/train_ops.h"

namespace mmprm {

void TrainOps::product(const Operand& a, const Operand& b, const Tensor& c, bool add) {
  ops_.matmul({c, a, b, add ? c : Tensor(), {}, compute_});
}

void TrainOps::linear(const TrainLinear& linear, const Tensor& x, const Tensor& y, const Tensor& addend) {
  const Tensor bias = linear.bias ? linear.bias->value : Tensor();
  ops_.matmul({y, {x, false}, {linear.weight->value, true}, addend, bias, compute_});
  for (const Adapter& a : linear.adapters) adapter(a, x, y);
}

void TrainOps::linear_grad_weight(const TrainLinear& linear, const Tensor& x, const Tensor& dy) {
  const Parameter& w = *linear.weight;
  if (w.trainable) product({dy, true}, x, w.gradient, true);
  if (linear.bias && linear.bias->trainable) ops_.column_sum({linear.bias->gradient, dy});
  for (const Adapter& a : linear.adapters) adapter_grad_weight(a, x, dy);
}

void TrainOps::linear_grad_input(const TrainLinear& linear, const Tensor& dy, const Tensor& dx) {
  product(dy, linear.weight->value, dx);
  for (const Adapter& a : linear.adapters) product(adapter_grad_inner(a, dy), a.a->value, dx, true);
}

// u = scale·x·Aᵀ
Tensor TrainOps::low_rank_rows(const Adapter& adapter, const Tensor& x) {
  workspace_.reserve(low_rank_, x.rows, adapter.a->rows, DType::kF32);
  const Tensor u = low_rank_.part(0, x.rows);
  product(x, {adapter.a->value, true}, u);
  ops_.scale({u, adapter.scale});
  return u;
}

void TrainOps::adapter(const Adapter& adapter, const Tensor& x, const Tensor& y) {
  const Tensor u = low_rank_rows(adapter, x);
  for (const StoredTensor::Block& block : adapter.row_blocks) {
    const Tensor b = adapter.b->value.part(int64_t(block.in_tensor), int(block.count));
    product(u, {b, true}, y.columns(int64_t(block.in_parameter), int(block.count)), true);
  }
}

void TrainOps::adapter_grad_weight(const Adapter& adapter, const Tensor& x, const Tensor& dy) {
  const Tensor u = low_rank_rows(adapter, x);
  for (const StoredTensor::Block& block : adapter.row_blocks) {
    const Tensor d_b = adapter.b->gradient.part(int64_t(block.in_tensor), int(block.count));
    product({dy.columns(int64_t(block.in_parameter), int(block.count)), true}, u, d_b, true);
  }
  product({adapter_grad_inner(adapter, dy), true}, x, adapter.a->gradient, true);
}

// du = scale·dy·B, the gradient of x·Aᵀ
Tensor TrainOps::adapter_grad_inner(const Adapter& adapter, const Tensor& dy) {
  workspace_.reserve(low_rank_grad_, dy.rows, adapter.b->cols, DType::kF32);
  const Tensor du = low_rank_grad_.part(0, dy.rows);
  clear(du);
  for (const StoredTensor::Block& block : adapter.row_blocks) {
    const Tensor b = adapter.b->value.part(int64_t(block.in_tensor), int(block.count));
    product(dy.columns(int64_t(block.in_parameter), int(block.count)), b, du, true);
  }
  ops_.scale({du, adapter.scale});
  return du;
}

void TrainOps::norm(const TrainNorm& norm, const Tensor& x, const Tensor& y) {
  const Tensor bias = norm.bias ? as_row(norm.bias->value) : Tensor();
  device_.norm({y, x, as_row(norm.weight->value), bias, norm.eps});
}

void TrainOps::norm_grad(const TrainNorm& norm, const Tensor& x, const Tensor& dy, const Tensor& dx) {
  const Tensor d_bias = norm.bias ? norm.bias->gradient : Tensor();
  ops_.norm_grad(
      {dx, norm.weight->gradient, d_bias, x, dy, as_row(norm.weight->value), norm.eps, norm.bias != nullptr});
}

}  // namespace mmprm
