#include "train/train_merger.h"

namespace mmprm {

TrainMerger::TrainMerger(const TrainMergerParameters& parameters, int hidden_C, TrainOps& ops)
    : parameters_(parameters),
      ops_(ops),
      patch_normed_(hidden_C, DType::kF32),
      joined_(parameters.fc1.weight->cols, DType::kF32),
      normed_(joined_.cols(), DType::kF32),
      h_(parameters.fc1.weight->rows, DType::kF32),
      a_(h_.cols(), DType::kF32),
      d_patches_(hidden_C, DType::kF32),
      d_joined_(joined_.cols(), DType::kF32),
      d_inner_(joined_.cols(), DType::kF32) {}

void TrainMerger::reserve(int patches, int rows) {
  for (RowBuffer* b : {&patch_normed_, &d_patches_}) b->reserve(patches);
  for (RowBuffer* b : {&joined_, &normed_, &h_, &a_, &d_joined_, &d_inner_}) b->reserve(rows);
}

void TrainMerger::forward(const Rows& x, const Rows& y) {
  reserve(x.rows, y.rows);
  const Rows joined(joined_, y.rows), normed(normed_, y.rows), h(h_, y.rows), a(a_, y.rows);
  if (norms_patches()) {
    const Rows patches(patch_normed_, x.rows);
    ops_.norm(parameters_.norm, x, patches);
    ops_.join(patches, joined);
  } else {
    ops_.join(x, joined);
    ops_.norm(parameters_.norm, joined, normed);
  }
  ops_.linear(parameters_.fc1, norms_patches() ? joined : normed, h);
  ops_.gelu(h, a);
  ops_.linear(parameters_.fc2, a, y);
}

void TrainMerger::backward(const Rows& x, const Rows& dy, const Rows* d_x) {
  const Rows joined(joined_, dy.rows), normed(normed_, dy.rows), h(h_, dy.rows), a(a_, dy.rows);
  const Rows d_joined(d_joined_, dy.rows), d_inner(d_inner_, dy.rows), d_patches(d_patches_, x.rows);
  // gelu_grad leaves gelu's output in place of its gradient, for fc2's weight.
  ops_.linear_grad_input(parameters_.fc2, dy, a);
  ops_.gelu_grad(h, a);
  ops_.linear_grad_weight(parameters_.fc2, a, dy);
  ops_.linear_grad_weight(parameters_.fc1, norms_patches() ? joined : normed, h);
  ops_.linear_grad_input(parameters_.fc1, h, d_inner);
  if (norms_patches()) {
    const Rows d_normed(patch_normed_, x.rows);  // its values are of no use any more
    ops_.clear(d_normed);
    ops_.join_grad(d_inner, d_normed);
    if (!d_x) ops_.clear(d_patches);
    ops_.norm_grad(parameters_.norm, x, d_normed, d_x ? *d_x : d_patches);
  } else {
    ops_.clear(d_joined);
    ops_.norm_grad(parameters_.norm, joined, d_inner, d_joined);
    if (d_x) ops_.join_grad(d_joined, *d_x);
  }
}

}  // namespace mmprm
