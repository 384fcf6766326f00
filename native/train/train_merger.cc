#include "train/train_merger.h"

namespace mmprm {

TrainMerger::TrainMerger(const TrainMergerParameters& parameters, int hidden_C, int merge, TrainOps& ops)
    : parameters_(parameters),
      hidden_C_(hidden_C),
      merge_(merge),
      ops_(ops),
      workspace_(std::make_unique<Workspace>(ops.device())) {}

void TrainMerger::reserve(int patches, int rows) {
  const int joined = parameters_.fc1.weight->cols, inner = parameters_.fc1.weight->rows;
  for (Tensor* t : {&patch_normed_, &d_patches_}) workspace_->reserve(*t, patches, hidden_C_, DType::kF32);
  for (Tensor* t : {&joined_, &normed_, &d_joined_, &d_inner_})
    workspace_->reserve(*t, rows, joined, DType::kF32);
  for (Tensor* t : {&h_, &a_}) workspace_->reserve(*t, rows, inner, DType::kF32);
}

// A picture of merge × merge patches that is folded into one row.
void TrainMerger::join(const Tensor& x, const Tensor& y) { ops_.device().fold({y, x, merge_, merge_}); }

void TrainMerger::join_grad(const Tensor& dy, const Tensor& dx) {
  UnfoldOp op{dx, dy, merge_, merge_};
  op.add = true;
  ops_.device_ops().unfold(op);
}

void TrainMerger::forward(const Tensor& x, const Tensor& y) {
  reserve(x.rows, y.rows);
  const Tensor joined = joined_.part(0, y.rows), normed = normed_.part(0, y.rows), h = h_.part(0, y.rows),
               a = a_.part(0, y.rows);
  if (norms_patches()) {
    const Tensor patches = patch_normed_.part(0, x.rows);
    ops_.norm(parameters_.norm, x, patches);
    join(patches, joined);
  } else {
    join(x, joined);
    ops_.norm(parameters_.norm, joined, normed);
  }
  ops_.linear(parameters_.fc1, norms_patches() ? joined : normed, h);
  ops_.gelu(h, a);
  ops_.linear(parameters_.fc2, a, y);
}

void TrainMerger::backward(const Tensor& x, const Tensor& dy, const Tensor& d_x) {
  const auto rows = [&](const Tensor& t) { return t.part(0, dy.rows); };
  const Tensor joined = rows(joined_), normed = rows(normed_), h = rows(h_), a = rows(a_),
               d_joined = rows(d_joined_), d_inner = rows(d_inner_), d_patches = d_patches_.part(0, x.rows);
  // gelu_grad leaves gelu's output in place of its gradient, for fc2's weight.
  ops_.linear_grad_input(parameters_.fc2, dy, a);
  ops_.gelu_grad(h, a);
  ops_.linear_grad_weight(parameters_.fc2, a, dy);
  ops_.linear_grad_weight(parameters_.fc1, norms_patches() ? joined : normed, h);
  ops_.linear_grad_input(parameters_.fc1, h, d_inner);
  if (norms_patches()) {
    const Tensor d_normed = patch_normed_.part(0, x.rows);  // its values are of no use any more
    ops_.clear(d_normed);
    join_grad(d_inner, d_normed);
    if (d_x.empty()) ops_.clear(d_patches);
    ops_.norm_grad(parameters_.norm, x, d_normed, d_x.empty() ? d_patches : d_x);
  } else {
    ops_.clear(d_joined);
    ops_.norm_grad(parameters_.norm, joined, d_inner, d_joined);
    if (!d_x.empty()) join_grad(d_joined, d_x);
  }
}

}  // namespace mmprm
