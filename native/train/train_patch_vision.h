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

  Rows forward(const std::vector<PicturePtr>& pictures, const std::atomic<bool>* cancelled) override;
  void backward(const Rows& d_rows, const std::atomic<bool>* cancelled) override;

 private:
  struct Kept {
    RowBuffer x_mid, qkv, attended, h;
    AlignedBuffer lse;
    explicit Kept(const VisionSpec& s);
  };
  Kept& kept(int layer) { return kept_[keep_all_ ? size_t(layer) : 0]; }
  Rows rows(const RowBuffer& buffer) const { return {buffer, layout_.num_patches}; }
  // The state before a layer, or behind the last.
  RowBuffer& state(int layer) { return x_[frozen_ ? size_t(layer % 2) : size_t(layer)]; }
  // A merger's columns of the rows for the language model: 0 is the last one's.
  Rows columns(const Rows& made, int merger) const;

  void reserve();
  void embed();
  void embed_grad();
  void forward_layer(int l);
  void backward_mlp(int l);
  void backward_attention(int l);
  void merge(int l, const Rows& made);
  void merge_grad(int l, const Rows& d_made);
  void activate(const Rows& h, const Rows& mlp);
  void activate_grad(const Rows& h, const Rows& mlp);
  RotateArgs rotate_args(const RowBuffer& qkv, float sign) const;
  TreeAttentionArgs attention_args(int l);

  const VisionSpec spec_;
  const TrainVisionParameters& parameters_;
  TrainOps& ops_;
  bool frozen_, keep_all_, recompute_;
  PatchLayout layout_;
  std::vector<TrainMerger> mergers_;  // the last one, then one for each of deepstack_layers
  std::vector<RowBuffer> x_;          // states; two in turn where the tower is frozen
  std::vector<Kept> kept_;
  RowBuffer patches_, normed_, mlp_, d_x_, d_narrow_, d_qkv_, made_;
};

}  // namespace mmprm
