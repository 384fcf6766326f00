// InternViT, pixel shuffle and projector under training: image tiles to rows of the language model, and back.
//
//   x = patches·W + position
//   x_mid = x + ls1·proj·attention(qkv·norm1(x));  x' = x_mid + ls2·fc2·gelu(fc1·norm2(x_mid))
//
// Layers behind the selected hidden state have no part in the output and get no gradient. With a frozen
// vision tower nothing is kept and backward ends at the projector.
#pragma once
#include <atomic>
#include <vector>

#include "models/position_table.h"
#include "train/train_model.h"
#include "train/train_tower.h"

namespace mmprm {

class TrainVision : public TrainTower {
 public:
  TrainVision(const TrainModel& model, TrainOps& ops, bool recompute);

  Tensor forward(const std::vector<PicturePtr>& pictures, const std::atomic<bool>* cancelled) override;
  void backward(const Tensor& d_rows, const std::atomic<bool>* cancelled) override;

 private:
  struct Kept {
    Tensor x_mid, qkv, attended, lse, z1, h, z2;
    Tensor raw_qk;  // before the query and key norms, where there are any
  };
  Kept& kept(size_t layer) { return kept_[keep_all_ ? layer : 0]; }
  Tensor rows(const Tensor& tensor) const { return tensor.part(0, num_rows_); }
  Tensor folded(const Tensor& tensor) const { return tensor.part(0, num_folded_); }
  int rows_per_tile() const { return 1 + num_patches(); }
  int num_patches() const { return spec_.patches_per_side() * spec_.patches_per_side(); }

  void reserve(int tiles);
  void stage_tiles();
  // Tiles to rows of the tower (train_vision_embed.cc).
  void read(const std::vector<PicturePtr>& pictures);
  void embed();
  void embed_grad();
  void place_tile();
  void place_tile_grad(const Tensor& d_positions);

  void forward_layer(size_t l);
  void backward_layer(size_t l);
  void norm_heads(const TrainVisionLayer& layer, Kept& k);
  void norm_heads_grad(const TrainVisionLayer& layer, Kept& k);
  void fold(const Tensor& x);
  void unfold_grad(const Tensor& d_folded);
  Tensor project();
  TreeAttentionOp attention_op(const Kept& kept) const;

  const VisionSpec spec_;
  const TrainVisionParameters& parameters_;
  TrainOps& ops_;
  int num_layers_;  // up to the selected state
  bool frozen_, keep_all_, recompute_;
  const PositionResize resize_;
  const PositionResize::Mix mix_;
  Workspace workspace_;
  TreesOnDevice trees_;  // one for each tile
  int tiles_ = 0, num_rows_ = 0, num_folded_ = 0;
  std::vector<Tensor> x_;
  std::vector<Kept> kept_;
  std::vector<float> host_pixels_;  // normalised
  Tensor pixels_;                   // [tiles · channels · image_size, image_size]
  Tensor patches_;
  Tensor positions_, d_positions_;  // [1 + patches, C]: of one tile
  Tensor normed_, mlp_, d_x_, d_z_, d_narrow_, d_qkv_, d_raw_qk_;
  Tensor folded_, folded_normed_, projected_h_, projected_, image_rows_, d_folded_, d_folded_normed_;
};

}  // namespace mmprm
