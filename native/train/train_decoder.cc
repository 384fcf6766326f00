#include "train/train_decoder.h"

#include <algorithm>

namespace mmprm {
namespace {

int qkv_cols(const DecoderSpec& s) { return (s.heads_H + 2 * s.kv_heads_G) * s.head_dim_D; }
int qk_cols(const DecoderSpec& s) { return (s.heads_H + s.kv_heads_G) * s.head_dim_D; }

// Columns [first, first + cols) of some rows.
Rows columns(const Rows& rows, int first, int cols) {
  Rows out = rows;
  out.data += first;
  out.cols = cols;
  return out;
}

void check(const std::atomic<bool>* cancelled) {
  if (cancelled && cancelled->load()) throw Error(ErrorCode::kAborted, "training was aborted");
}

}  // namespace

TrainDecoder::Kept::Kept(const DecoderSpec& s)
    : x_mid(s.hidden_C, DType::kF32),
      qkv(qkv_cols(s), DType::kF32),
      attended(s.heads_H * s.head_dim_D, DType::kF32),
      gate_up(2 * s.intermediate_F, DType::kF32),
      raw_qk(qk_cols(s), DType::kF32) {}

void TrainDecoder::Kept::reserve(int rows, const DecoderSpec& s) {
  for (RowBuffer* b : {&x_mid, &qkv, &attended, &gate_up}) b->reserve(rows);
  if (s.qk_norm) raw_qk.reserve(rows);
  lse.reserve(size_t(rows) * s.heads_H * sizeof(float));
}

TrainDecoder::TrainDecoder(const TrainModel& model, TrainOps& ops, bool recompute)
    : spec_(model.spec().decoder),
      parameters_(model.decoder()),
      ops_(ops),
      recompute_(recompute),
      rope_(spec_.rope, spec_.head_dim_D),
      normed_(spec_.hidden_C, DType::kF32),
      mlp_(spec_.intermediate_F, DType::kF32),
      d_x_(spec_.hidden_C, DType::kF32),
      d_narrow_(std::max(spec_.hidden_C, spec_.heads_H * spec_.head_dim_D), DType::kF32),
      d_qkv_(qkv_cols(spec_), DType::kF32),
      d_raw_qk_(qk_cols(spec_), DType::kF32) {
  for (int l = 0; l <= spec_.layers_L; ++l) x_.emplace_back(spec_.hidden_C, DType::kF32);
  for (int l = 0; l < (recompute ? 1 : spec_.layers_L); ++l) kept_.emplace_back(spec_);
}

void TrainDecoder::reserve(const TrainPlan& plan) {
  num_rows_ = plan.num_rows();
  rope_.grow(plan.max_keys);
  for (RowBuffer& x : x_) x.reserve(num_rows_);
  for (Kept& k : kept_) k.reserve(num_rows_, spec_);
  for (RowBuffer* b : {&normed_, &mlp_, &d_x_, &d_narrow_, &d_qkv_}) b->reserve(num_rows_);
  if (spec_.qk_norm) d_raw_qk_.reserve(num_rows_);
}

Rows TrainDecoder::forward(const TrainPlan& plan, const Rows& image_rows,
                           const std::atomic<bool>* cancelled) {
  reserve(plan);
  place(plan);
  embed(plan, image_rows);
  for (size_t l = 0; l < parameters_.layers.size(); ++l) {
    check(cancelled);
    forward_layer(l, plan);
    if (has_feature(l, image_rows)) ops_.add_chosen(plan.tokens_T, feature(l, image_rows), rows(x_[l + 1]));
  }
  for (int t = 0; t < num_rows_; ++t) std::fill_n(d_x_.row_f32(t), spec_.hidden_C, 0.0f);
  return rows(x_.back());
}

void TrainDecoder::embed(const TrainPlan& plan, const Rows& image_rows) {
  const int C = spec_.hidden_C;
  for (int t = 0; t < num_rows_; ++t) {
    const int32_t token = plan.tokens_T[t];
    const float* from =
        token < 0 ? image_rows.row(-1 - token) : parameters_.embed->value() + size_t(token) * C;
    std::copy_n(from, C, x_[0].row_f32(t));
  }
}

// Rows whose angles are not those of their place in the sequence have some of their own.
void TrainDecoder::place(const TrainPlan& plan) {
  const size_t D = spec_.head_dim_D;
  row_angles_.resize(plan.axes_T.size() * D);
  angle_rows_.resize(plan.axes_T.size());
  for (size_t t = 0; t < plan.axes_T.size(); ++t) {
    rope_.write_row(plan.axes_T[t], &row_angles_[t * D]);
    angle_rows_[t] = static_cast<int32_t>(t);
  }
}

void TrainDecoder::forward_layer(size_t l, const TrainPlan& plan) {
  const TrainDecoderLayer& layer = parameters_.layers[l];
  Kept& k = kept(l);
  const Rows x = rows(x_[l]), x_mid = rows(k.x_mid), normed = rows(normed_), mlp = rows(mlp_);
  ops_.norm(layer.attention_norm, x, normed);
  ops_.linear(layer.qkv, normed, rows(k.qkv));
  norm_heads(layer, k);
  ops_.rotate(rotate_args(k.qkv, plan, 1), num_rows_);
  ops_.attention(attention_args(k, plan));
  ops_.linear(layer.o, rows(k.attended), x_mid, &x);
  ops_.norm(layer.ffn_norm, x_mid, normed);
  ops_.linear(layer.gate_up, normed, rows(k.gate_up));
  ops_.swiglu(rows(k.gate_up), mlp);
  ops_.linear(layer.down, mlp, rows(x_[l + 1]), &x_mid);
}

void TrainDecoder::norm_heads(const TrainDecoderLayer& layer, Kept& k) {
  if (layer.q_norm.empty()) return;
  const int H = spec_.heads_H, D = spec_.head_dim_D, cols = k.raw_qk.cols();
  const Rows raw = rows(k.raw_qk), qkv = rows(k.qkv);
  for (int r = 0; r < num_rows_; ++r) std::copy_n(qkv.row(r), cols, raw.row(r));
  for (int h = 0; h < H + spec_.kv_heads_G; ++h)
    ops_.norm(h < H ? layer.q_norm : layer.k_norm, columns(raw, h * D, D), columns(qkv, h * D, D));
}

void TrainDecoder::norm_heads_grad(const TrainDecoderLayer& layer, Kept& k) {
  if (layer.q_norm.empty()) return;
  const int H = spec_.heads_H, D = spec_.head_dim_D, cols = k.raw_qk.cols();
  const Rows raw = rows(k.raw_qk), d_raw = rows(d_raw_qk_), d_qkv = rows(d_qkv_);
  for (int r = 0; r < num_rows_; ++r) std::fill_n(d_raw.row(r), cols, 0.0f);
  for (int h = 0; h < H + spec_.kv_heads_G; ++h)
    ops_.norm_grad(h < H ? layer.q_norm : layer.k_norm, columns(raw, h * D, D), columns(d_qkv, h * D, D),
                   columns(d_raw, h * D, D));
  for (int r = 0; r < num_rows_; ++r) std::copy_n(d_raw.row(r), cols, d_qkv.row(r));
}

void TrainDecoder::backward(const TrainPlan& plan, const Rows* d_image_rows,
                            const std::atomic<bool>* cancelled) {
  for (size_t l = parameters_.layers.size(); l-- > 0;) {
    check(cancelled);
    if (d_image_rows && has_feature(l, *d_image_rows))
      ops_.add_chosen_grad(plan.tokens_T, rows(d_x_), feature(l, *d_image_rows));
    if (recompute_) forward_layer(l, plan);
    backward_mlp(l);
    backward_attention(l, plan);
  }
  embed_grad(plan, d_image_rows);
}

void TrainDecoder::backward_mlp(size_t l) {
  const TrainDecoderLayer& layer = parameters_.layers[l];
  Kept& k = kept(l);
  const Rows d_x = rows(d_x_), mlp = rows(mlp_), gate_up = rows(k.gate_up), normed = rows(normed_);
  Rows d_normed = rows(d_narrow_);
  d_normed.cols = spec_.hidden_C;
  // The gradient of w2 needs swiglu's output, which swiglu_grad leaves in place of its gradient.
  ops_.linear_grad_input(layer.down, d_x, mlp);
  ops_.swiglu_grad(gate_up, mlp);
  ops_.linear_grad_weight(layer.down, mlp, d_x);
  ops_.norm(layer.ffn_norm, rows(k.x_mid), normed);
  ops_.linear_grad_weight(layer.gate_up, normed, gate_up);
  ops_.linear_grad_input(layer.gate_up, gate_up, d_normed);
  ops_.norm_grad(layer.ffn_norm, rows(k.x_mid), d_normed, d_x);
}

void TrainDecoder::backward_attention(size_t l, const TrainPlan& plan) {
  const TrainDecoderLayer& layer = parameters_.layers[l];
  Kept& k = kept(l);
  const Rows d_x = rows(d_x_), d_qkv = rows(d_qkv_), normed = rows(normed_);
  Rows d_attended = rows(d_narrow_), d_normed = d_attended;
  d_attended.cols = k.attended.cols();
  d_normed.cols = spec_.hidden_C;
  ops_.linear_grad_weight(layer.o, rows(k.attended), d_x);
  ops_.linear_grad_input(layer.o, d_x, d_attended);
  TreeAttentionArgs args = attention_args(k, plan);
  args.d_o = d_attended.data;
  args.d_o_stride = d_attended.stride;
  args.d_qkv = d_qkv.data;
  ops_.attention_grad(args);
  ops_.rotate(rotate_args(d_qkv_, plan, -1), num_rows_);
  norm_heads_grad(layer, k);
  ops_.norm(layer.attention_norm, rows(x_[l]), normed);
  ops_.linear_grad_weight(layer.qkv, normed, d_qkv);
  ops_.linear_grad_input(layer.qkv, d_qkv, d_normed);
  ops_.norm_grad(layer.attention_norm, rows(x_[l]), d_normed, d_x);
}

// In the order of the rows: one thread's work for a strip of columns, so no two add to one place.
void TrainDecoder::embed_grad(const TrainPlan& plan, const Rows* d_image_rows) {
  const int C = spec_.hidden_C;
  float* d_embed = parameters_.embed->gradient();
  ops_.pool().run((C + kStripColumns - 1) / kStripColumns, 1, [&](int64_t begin, int64_t end) {
    const int first = int(begin) * kStripColumns, last = std::min(C, int(end) * kStripColumns);
    for (int t = 0; t < num_rows_; ++t) {
      const int32_t token = plan.tokens_T[t];
      if (!(token < 0 ? d_image_rows != nullptr : d_embed != nullptr)) continue;
      float* to = token < 0 ? d_image_rows->row(-1 - token) : d_embed + size_t(token) * C;
      for (int c = first; c < last; ++c) to[c] += d_x_.row_f32(t)[c];
    }
  });
}

RotateArgs TrainDecoder::rotate_args(const RowBuffer& qkv, const TrainPlan& plan, float sign) const {
  const bool own = !plan.axes_T.empty();
  return {qkv.row_f32(0),
          qkv.stride(),
          own ? row_angles_.data() : rope_.data(),
          own ? angle_rows_.data() : plan.positions_T.data(),
          spec_.heads_H + spec_.kv_heads_G,
          spec_.head_dim_D,
          sign};
}

TreeAttentionArgs TrainDecoder::attention_args(Kept& kept, const TrainPlan& plan) const {
  TreeAttentionArgs args;
  args.qkv = kept.qkv.row_f32(0);
  args.qkv_stride = kept.qkv.stride();
  args.segments = plan.segments.data();
  args.tree_begin_1 = plan.tree_begin_1.data();
  args.num_trees = plan.num_trees();
  args.max_keys = plan.max_keys;
  args.num_heads_H = spec_.heads_H;
  args.num_heads_G = spec_.kv_heads_G;
  args.head_dim_D = spec_.head_dim_D;
  args.compute = ops_.compute();
  args.o = kept.attended.row_f32(0);
  args.o_stride = kept.attended.stride();
  args.lse_TH = kept.lse.as<float>();
  return args;
}

}  // namespace mmprm
