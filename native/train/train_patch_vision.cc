#include "train/train_patch_vision.h"

#include <algorithm>

namespace mmprm {
namespace {

bool is_frozen(const TrainVisionParameters& p) { return !p.patch_embedding.weight->trainable; }

void check(const std::atomic<bool>* cancelled) {
  if (cancelled && cancelled->load()) throw Error(ErrorCode::kAborted, "training was aborted");
}

// Of fc1: gate and up where the MLP is gated.
int inner_cols(const VisionSpec& s) { return (s.gated_mlp ? 2 : 1) * s.intermediate_F; }

}  // namespace

TrainPatchVision::Kept::Kept(const VisionSpec& s)
    : x_mid(s.hidden_C, DType::kF32),
      qkv(3 * s.hidden_C, DType::kF32),
      attended(s.hidden_C, DType::kF32),
      h(inner_cols(s), DType::kF32) {}

TrainPatchVision::TrainPatchVision(const TrainModel& model, TrainOps& ops, bool recompute)
    : spec_(*model.spec().vision),
      parameters_(model.vision()),
      ops_(ops),
      frozen_(is_frozen(parameters_)),
      keep_all_(!frozen_ && !recompute),
      recompute_(recompute),
      patches_(parameters_.patch_embedding.weight->cols, DType::kF32),
      normed_(spec_.hidden_C, DType::kF32),
      mlp_(spec_.intermediate_F, DType::kF32),
      d_x_(spec_.hidden_C, DType::kF32),
      d_narrow_(spec_.hidden_C, DType::kF32),
      d_qkv_(3 * spec_.hidden_C, DType::kF32),
      made_(model.image_width(), DType::kF32) {
  const TrainVisionParameters& p = parameters_;
  mergers_.emplace_back(TrainMergerParameters{p.projector_norm, p.projector_fc1, p.projector_fc2},
                        spec_.hidden_C, ops_);
  for (const TrainMergerParameters& merger : p.deepstack) mergers_.emplace_back(merger, spec_.hidden_C, ops_);
  for (int l = 0; l <= (frozen_ ? 1 : spec_.layers_L); ++l) x_.emplace_back(spec_.hidden_C, DType::kF32);
  for (int l = 0; l < (keep_all_ ? spec_.layers_L : 1); ++l) kept_.emplace_back(spec_);
}

void TrainPatchVision::reserve() {
  const int T = layout_.num_patches;
  for (RowBuffer& x : x_) x.reserve(T);
  for (Kept& k : kept_) {
    for (RowBuffer* b : {&k.x_mid, &k.qkv, &k.attended, &k.h}) b->reserve(T);
    k.lse.reserve(size_t(T) * spec_.heads_H * sizeof(float));
  }
  for (RowBuffer* b : {&patches_, &normed_, &mlp_, &d_x_, &d_narrow_, &d_qkv_}) b->reserve(T);
  made_.reserve(T / (spec_.merge * spec_.merge));
}

Rows TrainPatchVision::columns(const Rows& made, int merger) const {
  const int width = made.cols / static_cast<int>(mergers_.size());
  return made.columns(merger * width, width);
}

Rows TrainPatchVision::forward(const std::vector<PicturePtr>& pictures, const std::atomic<bool>* cancelled) {
  layout_ = lay_out(pictures, spec_);
  reserve();
  embed();
  const Rows made(made_, layout_.num_patches / (spec_.merge * spec_.merge));
  for (int l = 0; l < spec_.layers_L; ++l) {
    check(cancelled);
    forward_layer(l);
    merge(l, made);
  }
  mergers_[0].forward(rows(state(spec_.layers_L)), columns(made, 0));
  return made;
}

void TrainPatchVision::embed() {
  const Rows patches = rows(patches_), x = rows(state(0));
  ops_.write(patches, layout_.pixels.data());
  const bool placed = parameters_.position_embedding != nullptr;
  if (placed) ops_.mix(*parameters_.position_embedding, layout_.positions, x);
  ops_.linear(parameters_.patch_embedding, patches, x, placed ? &x : nullptr);
}

void TrainPatchVision::embed_grad() {
  if (parameters_.position_embedding)
    ops_.mix_grad(*parameters_.position_embedding, layout_.positions, rows(d_x_));
  ops_.linear_grad_weight(parameters_.patch_embedding, rows(patches_), rows(d_x_));
}

void TrainPatchVision::forward_layer(int l) {
  const TrainVisionLayer& layer = parameters_.layers[l];
  Kept& k = kept(l);
  const Rows x = rows(state(l)), x_mid = rows(k.x_mid), normed = rows(normed_), mlp = rows(mlp_);
  ops_.norm(layer.norm1, x, normed);
  ops_.linear(layer.qkv, normed, rows(k.qkv));
  ops_.rotate(rotate_args(k.qkv, 1), layout_.num_patches);
  ops_.attention(attention_args(l));
  ops_.linear(layer.proj, rows(k.attended), x_mid, &x);
  ops_.norm(layer.norm2, x_mid, normed);
  ops_.linear(layer.fc1, normed, rows(k.h));
  activate(rows(k.h), mlp);
  ops_.linear(layer.fc2, mlp, rows(state(l + 1)), &x_mid);
}

// What the language model adds to its own rows later.
void TrainPatchVision::merge(int l, const Rows& made) {
  for (size_t i = 0; i < spec_.deepstack_layers.size(); ++i) {
    if (spec_.deepstack_layers[i] == l)
      mergers_[1 + i].forward(rows(state(l + 1)), columns(made, static_cast<int>(1 + i)));
  }
}

void TrainPatchVision::merge_grad(int l, const Rows& d_made) {
  const Rows d_x = rows(d_x_);
  for (size_t i = 0; i < spec_.deepstack_layers.size(); ++i) {
    if (spec_.deepstack_layers[i] != l) continue;
    mergers_[1 + i].backward(rows(state(l + 1)), columns(d_made, static_cast<int>(1 + i)),
                             frozen_ ? nullptr : &d_x);
  }
}

void TrainPatchVision::backward(const Rows& d_rows, const std::atomic<bool>* cancelled) {
  const Rows d_x = rows(d_x_);
  ops_.clear(d_x);
  mergers_[0].backward(rows(state(spec_.layers_L)), columns(d_rows, 0), frozen_ ? nullptr : &d_x);
  for (int l = spec_.layers_L; l-- > 0;) {
    check(cancelled);
    merge_grad(l, d_rows);
    if (frozen_) continue;
    if (recompute_) forward_layer(l);
    backward_mlp(l);
    backward_attention(l);
  }
  if (!frozen_) embed_grad();
}

void TrainPatchVision::backward_mlp(int l) {
  const TrainVisionLayer& layer = parameters_.layers[l];
  Kept& k = kept(l);
  const Rows d_x = rows(d_x_), mlp = rows(mlp_), h = rows(k.h), normed = rows(normed_),
             d_normed = rows(d_narrow_);
  ops_.linear_grad_input(layer.fc2, d_x, mlp);
  activate_grad(h, mlp);
  ops_.linear_grad_weight(layer.fc2, mlp, d_x);
  ops_.norm(layer.norm2, rows(k.x_mid), normed);
  ops_.linear_grad_weight(layer.fc1, normed, h);
  ops_.linear_grad_input(layer.fc1, h, d_normed);
  ops_.norm_grad(layer.norm2, rows(k.x_mid), d_normed, d_x);
}

void TrainPatchVision::backward_attention(int l) {
  const TrainVisionLayer& layer = parameters_.layers[l];
  Kept& k = kept(l);
  const Rows d_x = rows(d_x_), d_qkv = rows(d_qkv_), normed = rows(normed_), d_narrow = rows(d_narrow_);
  ops_.linear_grad_weight(layer.proj, rows(k.attended), d_x);
  ops_.linear_grad_input(layer.proj, d_x, d_narrow);
  TreeAttentionArgs args = attention_args(l);
  args.d_o = d_narrow.data;
  args.d_o_stride = d_narrow.stride;
  args.d_qkv = d_qkv.data;
  ops_.attention_grad(args);
  ops_.rotate(rotate_args(d_qkv_, -1), layout_.num_patches);
  ops_.norm(layer.norm1, rows(state(l)), normed);
  ops_.linear_grad_weight(layer.qkv, normed, d_qkv);
  ops_.linear_grad_input(layer.qkv, d_qkv, d_narrow);
  ops_.norm_grad(layer.norm1, rows(state(l)), d_narrow, d_x);
}

void TrainPatchVision::activate(const Rows& h, const Rows& mlp) {
  spec_.gated_mlp ? ops_.swiglu(h, mlp) : ops_.gelu_tanh(h, mlp);
}

// Leaves the activation's output in place of its gradient, for fc2's weight.
void TrainPatchVision::activate_grad(const Rows& h, const Rows& mlp) {
  spec_.gated_mlp ? ops_.swiglu_grad(h, mlp) : ops_.gelu_tanh_grad(h, mlp);
}

RotateArgs TrainPatchVision::rotate_args(const RowBuffer& qkv, float sign) const {
  return {qkv.row_f32(0),
          qkv.stride(),
          layout_.angles.data(),
          layout_.angle_rows.data(),
          2 * spec_.heads_H,
          spec_.hidden_C / spec_.heads_H,
          sign};
}

TreeAttentionArgs TrainPatchVision::attention_args(int l) {
  Kept& k = kept(l);
  const PatchRuns& runs = spec_.sees_all(l) ? layout_.whole : layout_.windows;
  TreeAttentionArgs args;
  args.qkv = k.qkv.row_f32(0);
  args.qkv_stride = k.qkv.stride();
  args.segments = runs.segments.data();
  args.tree_begin_1 = runs.tree_begin_1.data();
  args.num_trees = static_cast<int>(runs.segments.size());
  args.max_keys = runs.longest;
  args.causal = false;
  args.num_heads_H = args.num_heads_G = spec_.heads_H;
  args.head_dim_D = spec_.hidden_C / spec_.heads_H;
  args.compute = ops_.compute();
  args.o = k.attended.row_f32(0);
  args.o_stride = k.attended.stride();
  args.lse_TH = k.lse.as<float>();
  return args;
}

}  // namespace mmprm
