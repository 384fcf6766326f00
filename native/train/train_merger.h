// A merger under training: merge × merge patches become one row of the language model.
//
//   y = fc2 · gelu(fc1 · join(norm of each patch)), or fc2 · gelu(fc1 · norm of the joined patches)
//
// Which of the two, the norm's size tells. Patches that are merged stand one behind the other.
#pragma once
#include <memory>

#include "train/train_model.h"

namespace mmprm {

using TrainMergerParameters = MergerOf<TrainNorm, TrainLinear>;

class TrainMerger {
 public:
  // hidden_C: of a patch.
  TrainMerger(const TrainMergerParameters& parameters, int hidden_C, int merge, TrainOps& ops);

  // x: [merge² · rows of y, hidden_C]. Keeps what backward needs but x.
  void forward(const Tensor& x, const Tensor& y);
  // x as forward had it. d_x: added to; empty where nothing below is trained.
  void backward(const Tensor& x, const Tensor& dy, const Tensor& d_x);

 private:
  bool norms_patches() const { return hidden_C_ == int(parameters_.norm.weight->size()); }
  void reserve(int patches, int rows);
  // A row of y is the next merge² rows of x, one behind the other. The gradient is added.
  void join(const Tensor& x, const Tensor& y);
  void join_grad(const Tensor& dy, const Tensor& dx);

  const TrainMergerParameters parameters_;
  const int hidden_C_, merge_;
  TrainOps& ops_;
  std::unique_ptr<Workspace> workspace_;  // WHY a pointer: mergers stand in a vector
  Tensor patch_normed_, joined_, normed_, h_, a_;
  Tensor d_patches_, d_joined_, d_inner_;
};

}  // namespace mmprm
