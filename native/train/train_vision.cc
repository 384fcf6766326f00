#include "train/train_vision.h"

#include <algorithm>

#include "train/cancel.h"

namespace mmprm {
namespace {

// Which of the L + 1 hidden states goes to the projector: so many layers come before it.
int selected_state(const VisionSpec& spec) {
  return spec.select_layer < 0 ? spec.layers_L + 1 + spec.select_layer : spec.select_layer;
}

bool is_frozen(const TrainVisionParameters& p) { return !p.patch_embedding.weight->trainable; }

}  // namespace

TrainVision::TrainVision(const TrainModel& model, TrainOps& ops, bool recompute)
    : spec_(*model.spec().vision),
      parameters_(model.vision()),
      ops_(ops),
      num_layers_(selected_state(spec_)),
      frozen_(is_frozen(parameters_)),
      keep_all_(!frozen_ && !recompute),
      recompute_(recompute),
      resize_(spec_.positions_per_side(), spec_.patches_per_side()),
      mix_(resize_.mix()),
      workspace_(ops.device()),
      trees_(ops.device_ops()),
      x_(frozen_ ? 2 : size_t(num_layers_) + 1),
      kept_(keep_all_ ? size_t(num_layers_) : 1) {}

void TrainVision::reserve(int tiles) {
  tiles_ = tiles;
  num_rows_ = tiles * rows_per_tile();
  num_folded_ = tiles * spec_.tokens_per_tile();
  const int C = spec_.hidden_C, F = spec_.intermediate_F, S = spec_.image_size;
  const auto reserve = [&](int rows, int cols, std::initializer_list<Tensor*> tensors) {
    for (Tensor* t : tensors) workspace_.reserve(*t, rows, cols, DType::kF32);
  };
  reserve(tiles * spec_.channels * S, S, {&pixels_});
  reserve(tiles * num_patches(), parameters_.patch_embedding.weight->cols, {&patches_});
  reserve(rows_per_tile(), C, {&positions_, &d_positions_});
  for (Tensor& x : x_) reserve(num_rows_, C, {&x});
  for (Kept& k : kept_) {
    reserve(num_rows_, C, {&k.x_mid, &k.attended, &k.z1, &k.z2});
    reserve(num_rows_, 3 * C, {&k.qkv});
    reserve(num_rows_, F, {&k.h});
    reserve(num_rows_, spec_.heads_H, {&k.lse});
    if (spec_.qk_norm) reserve(num_rows_, 2 * C, {&k.raw_qk});
  }
  reserve(num_rows_, C, {&normed_, &d_x_, &d_z_, &d_narrow_});
  reserve(num_rows_, F, {&mlp_});
  reserve(num_rows_, 3 * C, {&d_qkv_});
  if (spec_.qk_norm) reserve(num_rows_, 2 * C, {&d_raw_qk_});
  const TrainLinear &fc1 = parameters_.projector_fc1, &fc2 = parameters_.projector_fc2;
  reserve(num_folded_, fc1.weight->cols, {&folded_, &folded_normed_, &d_folded_, &d_folded_normed_});
  reserve(num_folded_, fc1.weight->rows, {&projected_h_, &projected_});
  reserve(num_folded_, fc2.weight->rows, {&image_rows_});
}

void TrainVision::stage_tiles() {
  TreePlan plan;
  for (int t = 0; t < tiles_; ++t) {
    plan.segments.push_back({t * rows_per_tile(), rows_per_tile(), -1});
    plan.tree_begin_1.push_back(t + 1);
  }
  plan.max_keys = rows_per_tile();
  plan.causal = false;
  trees_.stage(plan);
}

Tensor TrainVision::forward(const std::vector<PicturePtr>& pictures, const std::atomic<bool>* cancelled) {
  int tiles = 0;
  for (const PicturePtr& picture : pictures) tiles += picture->num_tiles;
  reserve(tiles);
  stage_tiles();
  read(pictures);
  embed();
  for (int l = 0; l < num_layers_; ++l) {
    check_cancelled(cancelled);
    forward_layer(l);
    if (frozen_) std::swap(x_[0], x_[1]);
  }
  fold(rows(frozen_ ? x_[0] : x_[num_layers_]));
  return project();
}

void TrainVision::norm_heads(const TrainVisionLayer& layer, Kept& k) {
  if (layer.q_norm.empty()) return;
  const int C = spec_.hidden_C;
  const Tensor raw = rows(k.raw_qk), qkv = rows(k.qkv);
  ops_.copy(qkv.columns(0, 2 * C), raw);
  ops_.norm(layer.q_norm, raw.columns(0, C), qkv.columns(0, C));
  ops_.norm(layer.k_norm, raw.columns(C, C), qkv.columns(C, C));
}

void TrainVision::norm_heads_grad(const TrainVisionLayer& layer, Kept& k) {
  if (layer.q_norm.empty()) return;
  const int C = spec_.hidden_C;
  const Tensor d_raw = rows(d_raw_qk_), d_qkv = rows(d_qkv_), raw = rows(k.raw_qk);
  ops_.clear(d_raw);
  ops_.norm_grad(layer.q_norm, raw.columns(0, C), d_qkv.columns(0, C), d_raw.columns(0, C));
  ops_.norm_grad(layer.k_norm, raw.columns(C, C), d_qkv.columns(C, C), d_raw.columns(C, C));
  ops_.copy(d_raw, d_qkv.columns(0, 2 * C));
}

void TrainVision::forward_layer(size_t l) {
  const TrainVisionLayer& layer = parameters_.layers[l];
  Kept& k = kept(l);
  const Tensor x = rows(x_[frozen_ ? 0 : l]), x_mid = rows(k.x_mid), normed = rows(normed_), mlp = rows(mlp_);
  ops_.norm(layer.norm1, x, normed);
  ops_.linear(layer.qkv, normed, rows(k.qkv));
  norm_heads(layer, k);
  ops_.attention(attention_op(k));
  ops_.linear(layer.proj, rows(k.attended), rows(k.z1));
  ops_.scaled_add(x, *layer.scale1, rows(k.z1), x_mid);
  ops_.norm(layer.norm2, x_mid, normed);
  ops_.linear(layer.fc1, normed, rows(k.h));
  ops_.gelu(rows(k.h), mlp);
  ops_.linear(layer.fc2, mlp, rows(k.z2));
  ops_.scaled_add(x_mid, *layer.scale2, rows(k.z2), rows(x_[frozen_ ? 1 : l + 1]));
}

void TrainVision::backward(const Tensor& d_rows, const std::atomic<bool>* cancelled) {
  const Tensor h = folded(projected_h_), a = folded(projected_), d_folded = folded(d_folded_);
  const Tensor d_normed = folded(d_folded_normed_);
  ops_.linear_grad_input(parameters_.projector_fc2, d_rows, a);
  ops_.gelu_grad(h, a);
  ops_.linear_grad_weight(parameters_.projector_fc2, a, d_rows);
  ops_.linear_grad_weight(parameters_.projector_fc1, folded(folded_normed_), h);
  ops_.linear_grad_input(parameters_.projector_fc1, h, d_normed);
  ops_.clear(d_folded);
  ops_.norm_grad(parameters_.projector_norm, folded(folded_), d_normed, d_folded);
  if (frozen_) return;
  unfold_grad(d_folded);
  for (int l = num_layers_; l-- > 0;) {
    check_cancelled(cancelled);
    if (recompute_) forward_layer(l);
    backward_layer(l);
  }
  embed_grad();
}

void TrainVision::backward_layer(size_t l) {
  const TrainVisionLayer& layer = parameters_.layers[l];
  Kept& k = kept(l);
  const Tensor x = rows(x_[l]), x_mid = rows(k.x_mid), d_x = rows(d_x_), d_z = rows(d_z_), h = rows(k.h);
  const Tensor normed = rows(normed_), mlp = rows(mlp_), d_narrow = rows(d_narrow_), d_qkv = rows(d_qkv_);
  ops_.scaled_grad(d_x, *layer.scale2, rows(k.z2), d_z);
  // As in the decoder: gelu_grad leaves gelu's output in place of its gradient, for fc2's weight.
  ops_.linear_grad_input(layer.fc2, d_z, mlp);
  ops_.gelu_grad(h, mlp);
  ops_.linear_grad_weight(layer.fc2, mlp, d_z);
  ops_.norm(layer.norm2, x_mid, normed);
  ops_.linear_grad_weight(layer.fc1, normed, h);
  ops_.linear_grad_input(layer.fc1, h, d_narrow);
  ops_.norm_grad(layer.norm2, x_mid, d_narrow, d_x);

  ops_.scaled_grad(d_x, *layer.scale1, rows(k.z1), d_z);
  ops_.linear_grad_weight(layer.proj, rows(k.attended), d_z);
  ops_.linear_grad_input(layer.proj, d_z, d_narrow);
  ops_.attention_grad(attention_op(k), d_narrow, d_qkv);
  norm_heads_grad(layer, k);
  ops_.norm(layer.norm1, x, normed);
  ops_.linear_grad_weight(layer.qkv, normed, d_qkv);
  ops_.linear_grad_input(layer.qkv, d_qkv, d_narrow);
  ops_.norm_grad(layer.norm1, x, d_narrow, d_x);
}

void TrainVision::fold(const Tensor& x) {
  ops_.device().fold({folded(folded_), x, spec_.patches_per_side(), spec_.shuffle_factor, 1,
                      spec_.shuffle == PixelShuffle::kV1});
}

// Class rows have no part in the result.
void TrainVision::unfold_grad(const Tensor& d_folded) {
  for (int t = 0; t < tiles_; ++t) ops_.clear(d_x_.part(int64_t(t) * rows_per_tile(), 1));
  ops_.device_ops().unfold({rows(d_x_), d_folded, spec_.patches_per_side(), spec_.shuffle_factor, 1,
                            spec_.shuffle == PixelShuffle::kV1});
}

Tensor TrainVision::project() {
  const Tensor normed = folded(folded_normed_), h = folded(projected_h_), a = folded(projected_);
  const Tensor out = folded(image_rows_);
  ops_.norm(parameters_.projector_norm, folded(folded_), normed);
  ops_.linear(parameters_.projector_fc1, normed, h);
  ops_.gelu(h, a);
  ops_.linear(parameters_.projector_fc2, a, out);
  return out;
}

TreeAttentionOp TrainVision::attention_op(const Kept& kept) const {
  return {rows(kept.attended), rows(kept.lse), rows(kept.qkv), trees_, spec_.heads_H, spec_.heads_H};
}

}  // namespace mmprm
