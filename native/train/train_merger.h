// A merger under training: merge × merge patches become one row of the language model.
//
//   y = fc2 · gelu(fc1 · join(norm of each patch)), or fc2 · gelu(fc1 · norm of the joined patches)
//
// Which of the two, the norm's size tells. Patches that are merged stand one behind the other.
#pragma once
#include "train/train_model.h"

namespace mmprm {

using TrainMergerParameters = MergerOf<TrainNorm, TrainLinear>;

class TrainMerger {
 public:
  // hidden_C: of a patch.
  TrainMerger(const TrainMergerParameters& parameters, int hidden_C, TrainOps& ops);

  // x: [merge² · rows of y, hidden_C]. Keeps what backward needs but x.
  void forward(const Rows& x, const Rows& y);
  // x as forward had it. d_x: added to; null where nothing below is trained.
  void backward(const Rows& x, const Rows& dy, const Rows* d_x);

 private:
  bool norms_patches() const { return patch_normed_.cols() == int(parameters_.norm.weight->size()); }
  void reserve(int patches, int rows);

  const TrainMergerParameters parameters_;
  TrainOps& ops_;
  RowBuffer patch_normed_, joined_, normed_, h_, a_;
  RowBuffer d_patches_, d_joined_, d_inner_;
};

}  // namespace mmprm
