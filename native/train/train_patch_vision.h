// The towers of the Qwen-VL models under training: whole pictures in patches to rows of the language model, and back. See
// models/patch_vision.h for the formulas.
//
// All pictures of a batch go through together, each in the order of its windows; a merge block's patches stand one behind
// the other in any order, so its rows need no reordering (picture_rows.h says which is which). Behind a picture's own
// columns stand those that its layers of `deepstack_layers` give the language model.
//
// With a frozen tower nothing is kept but what the mergers need, and backward ends there.
#pragma once
#include <vector>

#include "train/patch_layout.h"
#include "train/train_merger.h"
#include "train/train_tower.h"

namespace mmprm {

class TrainPatchVision : public TrainTower {
 public:
  TrainPatchVision(const TrainModel& model, TrainOps& ops, bool recompute);

  Tensor forward(const std::vector<PicturePtr>& pictures, const std::atomic<bool>* cancelled) override;
  void backward(const Tensor& d_rows, const std::atomic<bool>* cancelled) override;

 private:
  struct Kept {
    Tensor x_mid, qkv, attended, lse, h;
  };
  Kept& kept(int layer) { return kept_[keep_all_ ? size_t(layer) : 0]; }
  Tensor rows(const Tensor& tensor) const { return tensor.part(0, layout_.num_patches); }
  // The state before a layer, or behind the last.
  Tensor& state(int layer) { return x_[frozen_ ? size_t(layer % 2) : size_t(layer)]; }
  // A merger's columns of the rows for the language model: 0 is the last one's.
  Tensor columns(const Tensor& made, int merger) const;

  void reserve();
  void embed();
  void embed_grad();
  void forward_layer(int l);
  void backward_mlp(int l);
  void backward_attention(int l);
  void merge(int l, const Tensor& made);
  void merge_grad(int l, const Tensor& d_made);
  void activate(const Tensor& h, const Tensor& mlp);
  void activate_grad(const Tensor& h, const Tensor& mlp);
  void rotate(const Tensor& qkv, float sign);
  TreeAttentionOp attention_op(int l);

  const VisionSpec spec_;
  const TrainVisionParameters& parameters_;
  TrainOps& ops_;
  const int image_width_;
  bool frozen_, keep_all_, recompute_;
  Workspace workspace_;
  TreesOnDevice whole_, windows_;
  PatchLayout layout_;
  std::vector<TrainMerger> mergers_;  // the last one, then one for each of deepstack_layers
  std::vector<Tensor> x_;             // states; two in turn where the tower is frozen
  std::vector<Kept> kept_;
  Tensor angles_, patches_, normed_, mlp_, d_x_, d_narrow_, d_qkv_, made_;
};

}  // namespace mmprm
