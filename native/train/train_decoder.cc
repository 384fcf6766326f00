#include "train/train_decoder.h"

#include <algorithm>
#include <numeric>

#include "train/cancel.h"

namespace mmprm {

TrainDecoder::TrainDecoder(const TrainModel& model, TrainOps& ops, bool recompute)
    : spec_(model.spec().decoder),
      parameters_(model.decoder()),
      ops_(ops),
      recompute_(recompute),
      rope_(spec_.rope, spec_.head_dim_D),
      workspace_(ops.device()),
      trees_(ops.device_ops()),
      x_(size_t(spec_.layers_L) + 1),
      kept_(recompute ? 1 : size_t(spec_.layers_L)) {}

void TrainDecoder::reserve(const TrainPlan& plan) {
  num_rows_ = plan.num_rows();
  const int C = spec_.hidden_C, F = spec_.intermediate_F, H = spec_.heads_H, G = spec_.kv_heads_G;
  const auto reserve = [&](Tensor& t, int cols) { workspace_.reserve(t, num_rows_, cols, DType::kF32); };
  for (Tensor& x : x_) reserve(x, C);
  for (Kept& k : kept_) {
    reserve(k.x_mid, C);
    reserve(k.qkv, heads_cols(H + 2 * G));
    reserve(k.attended, heads_cols(H));
    reserve(k.lse, H);
    reserve(k.gate_up, 2 * F);
    if (spec_.qk_norm) reserve(k.raw_qk, heads_cols(H + G));
  }
  reserve(normed_, C);
  reserve(mlp_, F);
  reserve(d_x_, C);
  reserve(d_narrow_, std::max(C, heads_cols(H)));
  reserve(d_qkv_, heads_cols(H + 2 * G));
  if (spec_.qk_norm) reserve(d_raw_qk_, heads_cols(H + G));
}

// Trees and angles. Rows whose angles are not those of their place in the sequence have some of their own.
void TrainDecoder::stage(const TrainPlan& plan) {
  const int D = spec_.head_dim_D;
  own_angles_ = !plan.axes_T.empty();
  if (own_angles_) {
    std::vector<float> values(plan.axes_T.size() * D);
    for (size_t t = 0; t < plan.axes_T.size(); ++t) rope_.write_row(plan.axes_T[t], &values[t * D]);
    workspace_.reserve(row_angles_, num_rows_, D, DType::kF32);
    ops_.device().write(rows(row_angles_), values.data());
    TreePlan placed = plan;
    std::iota(placed.positions_T.begin(), placed.positions_T.end(), 0);
    trees_.stage(placed);
    return;
  }
  if (plan.max_keys > angles_.rows) {
    rope_.grow(plan.max_keys);
    workspace_.reserve(angles_, plan.max_keys, D, DType::kF32);
    ops_.device().write(angles_, rope_.data());
  }
  trees_.stage(plan);
}

Tensor TrainDecoder::forward(const TrainPlan& plan, const Tensor& image_rows,
                             const std::atomic<bool>* cancelled) {
  reserve(plan);
  stage(plan);
  ops_.device_ops().look_up({rows(x_[0]), parameters_.embed->value, image_rows, trees_});
  for (size_t l = 0; l < parameters_.layers.size(); ++l) {
    check_cancelled(cancelled);
    forward_layer(l);
    if (has_feature(l, image_rows))
      ops_.device_ops().add_looked_up({rows(x_[l + 1]), feature(l, image_rows), trees_});
  }
  ops_.clear(rows(d_x_));
  return rows(x_.back());
}

void TrainDecoder::forward_layer(size_t l) {
  const TrainDecoderLayer& layer = parameters_.layers[l];
  Kept& k = kept(l);
  const Tensor x = rows(x_[l]), x_mid = rows(k.x_mid), normed = rows(normed_), mlp = rows(mlp_);
  ops_.norm(layer.attention_norm, x, normed);
  ops_.linear(layer.qkv, normed, rows(k.qkv));
  norm_heads(layer, k);
  rotate(k.qkv, 1);
  ops_.attention(attention_op(l));
  ops_.linear(layer.o, rows(k.attended), x_mid, x);
  ops_.norm(layer.ffn_norm, x_mid, normed);
  ops_.linear(layer.gate_up, normed, rows(k.gate_up));
  ops_.swiglu(rows(k.gate_up), mlp);
  ops_.linear(layer.down, mlp, rows(x_[l + 1]), x_mid);
}

void TrainDecoder::norm_heads(const TrainDecoderLayer& layer, Kept& k) {
  if (layer.q_norm.empty()) return;
  const int H = spec_.heads_H, D = spec_.head_dim_D;
  const Tensor raw = rows(k.raw_qk), qkv = rows(k.qkv);
  ops_.copy(qkv.columns(0, raw.cols), raw);
  for (int h = 0; h < H + spec_.kv_heads_G; ++h)
    ops_.norm(h < H ? layer.q_norm : layer.k_norm, raw.columns(h * D, D), qkv.columns(h * D, D));
}

void TrainDecoder::norm_heads_grad(const TrainDecoderLayer& layer, Kept& k) {
  if (layer.q_norm.empty()) return;
  const int H = spec_.heads_H, D = spec_.head_dim_D;
  const Tensor raw = rows(k.raw_qk), d_raw = rows(d_raw_qk_), d_qkv = rows(d_qkv_);
  ops_.clear(d_raw);
  for (int h = 0; h < H + spec_.kv_heads_G; ++h)
    ops_.norm_grad(h < H ? layer.q_norm : layer.k_norm, raw.columns(h * D, D), d_qkv.columns(h * D, D),
                   d_raw.columns(h * D, D));
  ops_.copy(d_raw, d_qkv.columns(0, d_raw.cols));
}

void TrainDecoder::backward(const Tensor& d_image_rows, const std::atomic<bool>* cancelled) {
  for (size_t l = parameters_.layers.size(); l-- > 0;) {
    check_cancelled(cancelled);
    if (has_feature(l, d_image_rows))
      ops_.device_ops().look_up_grad({{}, feature(l, d_image_rows), rows(d_x_), trees_});
    if (recompute_) forward_layer(l);
    backward_mlp(l);
    backward_attention(l);
  }
  ops_.device_ops().look_up_grad({parameters_.embed->gradient, d_image_rows, rows(d_x_), trees_});
}

void TrainDecoder::backward_mlp(size_t l) {
  const TrainDecoderLayer& layer = parameters_.layers[l];
  Kept& k = kept(l);
  const Tensor d_x = rows(d_x_), mlp = rows(mlp_), gate_up = rows(k.gate_up), normed = rows(normed_);
  const Tensor d_normed = rows(d_narrow_).columns(0, spec_.hidden_C);
  // The gradient of w2 needs swiglu's output, which swiglu_grad leaves in place of its gradient.
  ops_.linear_grad_input(layer.down, d_x, mlp);
  ops_.swiglu_grad(gate_up, mlp);
  ops_.linear_grad_weight(layer.down, mlp, d_x);
  ops_.norm(layer.ffn_norm, rows(k.x_mid), normed);
  ops_.linear_grad_weight(layer.gate_up, normed, gate_up);
  ops_.linear_grad_input(layer.gate_up, gate_up, d_normed);
  ops_.norm_grad(layer.ffn_norm, rows(k.x_mid), d_normed, d_x);
}

void TrainDecoder::backward_attention(size_t l) {
  const TrainDecoderLayer& layer = parameters_.layers[l];
  Kept& k = kept(l);
  const Tensor d_x = rows(d_x_), d_qkv = rows(d_qkv_), normed = rows(normed_);
  const Tensor d_attended = rows(d_narrow_).columns(0, k.attended.cols);
  const Tensor d_normed = rows(d_narrow_).columns(0, spec_.hidden_C);
  ops_.linear_grad_weight(layer.o, rows(k.attended), d_x);
  ops_.linear_grad_input(layer.o, d_x, d_attended);
  ops_.attention_grad(attention_op(l), d_attended, d_qkv);
  rotate(d_qkv_, -1);
  norm_heads_grad(layer, k);
  ops_.norm(layer.attention_norm, rows(x_[l]), normed);
  ops_.linear_grad_weight(layer.qkv, normed, d_qkv);
  ops_.linear_grad_input(layer.qkv, d_qkv, d_normed);
  ops_.norm_grad(layer.attention_norm, rows(x_[l]), d_normed, d_x);
}

void TrainDecoder::rotate(const Tensor& qkv, float sign) {
  const Tensor angles = own_angles_ ? row_angles_ : angles_;
  ops_.device_ops().rotate({rows(qkv), angles, trees_, spec_.heads_H + spec_.kv_heads_G, sign});
}

TreeAttentionOp TrainDecoder::attention_op(size_t l) {
  const Kept& k = kept(l);
  return {rows(k.attended), rows(k.lse),      rows(k.qkv),    trees_,
          spec_.heads_H,    spec_.kv_heads_G, ops_.compute(), spec_.window_of(int(l))};
}

}  // namespace mmprm
