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

  Rows forward(const std::vector<PicturePtr>& pictures, const std::atomic<bool>* cancelled) override;
  void backward(const Rows& d_rows, const std::atomic<bool>* cancelled) override;

 private:
  struct Kept {
    RowBuffer x_mid, qkv, attended, z1, h, z2;
    RowBuffer raw_qk;  // before the query and key norms, where there are any
    AlignedBuffer lse;
    explicit Kept(const VisionSpec& s);
  };
  Kept& kept(size_t layer) { return kept_[keep_all_ ? layer : 0]; }
  Rows rows(const RowBuffer& buffer) const { return {buffer, num_rows_}; }
  int rows_per_tile() const { return 1 + spec_.patches_per_side() * spec_.patches_per_side(); }
  int num_patches() const { return rows_per_tile() - 1; }

  void reserve(int tiles);
  int read(const std::vector<PicturePtr>& pictures);
  void cut_patches(const float* pixels, int tiles);
  void embed(int tiles);
  void embed_grad(int tiles);
  const float* positions();  // [1 + patches, C] as the tiles have them
  void forward_layer(size_t l);
  void backward_layer(size_t l);
  void norm_heads(const TrainVisionLayer& layer, Kept& k);
  void norm_heads_grad(const TrainVisionLayer& layer, Kept& k);
  void fold(int tiles, const RowBuffer& x);
  void unfold_grad(int tiles, const Rows& d_folded);
  Rows project();
  TreeAttentionArgs attention_args(Kept& kept);

  const VisionSpec spec_;
  const TrainVisionParameters& parameters_;
  TrainOps& ops_;
  int num_layers_;  // up to the selected state
  bool frozen_, keep_all_, recompute_;
  const PositionResize resize_;
  std::vector<float> positions_, d_positions_;  // of the tiles, where these differ from what is stored
  std::vector<float> pixels_;                   // [tiles, channels, image_size, image_size], normalised
  int num_rows_ = 0, num_folded_ = 0;
  std::vector<TreeSegment> tiles_;
  std::vector<int32_t> tree_begin_1_;
  std::vector<RowBuffer> x_;
  std::vector<Kept> kept_;
  RowBuffer patches_, normed_, mlp_, d_x_, d_z_, d_narrow_, d_qkv_, d_raw_qk_;
  RowBuffer folded_, folded_normed_, projected_h_, projected_, image_rows_, d_folded_, d_folded_normed_;
};

}  // namespace mmprm
