#include "train/train_patch_vision.h"

#include "train/cancel.h"

namespace mmprm {
namespace {

bool is_frozen(const TrainVisionParameters& p) { return !p.patch_embedding.weight->trainable; }

// Of fc1: gate and up where the MLP is gated.
int inner_cols(const VisionSpec& s) { return (s.gated_mlp ? 2 : 1) * s.intermediate_F; }

}  // namespace

TrainPatchVision::TrainPatchVision(const TrainModel& model, TrainOps& ops, bool recompute)
    : spec_(*model.spec().vision),
      parameters_(model.vision()),
      ops_(ops),
      image_width_(model.image_width()),
      frozen_(is_frozen(parameters_)),
      keep_all_(!frozen_ && !recompute),
      recompute_(recompute),
      workspace_(ops.device()),
      whole_(ops.device_ops()),
      windows_(ops.device_ops()),
      x_(frozen_ ? 2 : size_t(spec_.layers_L) + 1),
      kept_(keep_all_ ? size_t(spec_.layers_L) : 1) {
  const TrainVisionParameters& p = parameters_;
  const auto add = [&](const TrainMergerParameters& merger) {
    mergers_.emplace_back(merger, spec_.hidden_C, spec_.merge, ops_);
  };
  add({p.projector_norm, p.projector_fc1, p.projector_fc2});
  for (const TrainMergerParameters& merger : p.deepstack) add(merger);
}

void TrainPatchVision::reserve() {
  const int T = layout_.num_patches, C = spec_.hidden_C;
  const auto reserve = [&](int cols, std::initializer_list<Tensor*> tensors) {
    for (Tensor* t : tensors) workspace_.reserve(*t, T, cols, DType::kF32);
  };
  for (Tensor& x : x_) reserve(C, {&x});
  for (Kept& k : kept_) {
    reserve(C, {&k.x_mid, &k.attended});
    reserve(3 * C, {&k.qkv});
    reserve(spec_.heads_H, {&k.lse});
    reserve(inner_cols(spec_), {&k.h});
  }
  reserve(parameters_.patch_embedding.weight->cols, {&patches_});
  reserve(C / spec_.heads_H, {&angles_});
  reserve(C, {&normed_, &d_x_, &d_narrow_});
  reserve(spec_.intermediate_F, {&mlp_});
  reserve(3 * C, {&d_qkv_});
  workspace_.reserve(made_, T / (spec_.merge * spec_.merge), image_width_, DType::kF32);
}

Tensor TrainPatchVision::columns(const Tensor& made, int merger) const {
  const int width = made.cols / static_cast<int>(mergers_.size());
  return made.columns(merger * width, width);
}

Tensor TrainPatchVision::forward(const std::vector<PicturePtr>& pictures,
                                 const std::atomic<bool>* cancelled) {
  layout_ = lay_out(pictures, spec_);
  reserve();
  whole_.stage(layout_.whole);
  windows_.stage(layout_.windows);
  embed();
  const Tensor made = made_.part(0, layout_.num_patches / (spec_.merge * spec_.merge));
  for (int l = 0; l < spec_.layers_L; ++l) {
    check_cancelled(cancelled);
    forward_layer(l);
    merge(l, made);
  }
  mergers_[0].forward(rows(state(spec_.layers_L)), columns(made, 0));
  return made;
}

void TrainPatchVision::embed() {
  const Tensor patches = rows(patches_), x = rows(state(0));
  ops_.device().write(patches, layout_.pixels.data());
  ops_.device().write(rows(angles_), layout_.angles.data());
  const Parameter* table = parameters_.position_embedding;
  if (table) {
    ops_.device_ops().mix_rows(
        {x, table->value, layout_.rows.data(), layout_.weights.data(), PatchLayout::kTaps});
  }
  ops_.linear(parameters_.patch_embedding, patches, x, table ? x : Tensor());
}

void TrainPatchVision::embed_grad() {
  const Tensor d_x = rows(d_x_);
  if (const Parameter* table = parameters_.position_embedding) {
    ops_.device_ops().mix_rows_grad(
        {table->gradient, d_x, layout_.rows.data(), layout_.weights.data(), PatchLayout::kTaps});
  }
  ops_.linear_grad_weight(parameters_.patch_embedding, rows(patches_), d_x);
}

void TrainPatchVision::forward_layer(int l) {
  const TrainVisionLayer& layer = parameters_.layers[l];
  Kept& k = kept(l);
  const Tensor x = rows(state(l)), x_mid = rows(k.x_mid), normed = rows(normed_), mlp = rows(mlp_);
  ops_.norm(layer.norm1, x, normed);
  ops_.linear(layer.qkv, normed, rows(k.qkv));
  rotate(k.qkv, 1);
  ops_.attention(attention_op(l));
  ops_.linear(layer.proj, rows(k.attended), x_mid, x);
  ops_.norm(layer.norm2, x_mid, normed);
  ops_.linear(layer.fc1, normed, rows(k.h));
  activate(rows(k.h), mlp);
  ops_.linear(layer.fc2, mlp, rows(state(l + 1)), x_mid);
}

// What the language model adds to its own rows later.
void TrainPatchVision::merge(int l, const Tensor& made) {
  for (size_t i = 0; i < spec_.deepstack_layers.size(); ++i) {
    if (spec_.deepstack_layers[i] == l)
      mergers_[1 + i].forward(rows(state(l + 1)), columns(made, static_cast<int>(1 + i)));
  }
}

void TrainPatchVision::merge_grad(int l, const Tensor& d_made) {
  const Tensor d_x = rows(d_x_);
  for (size_t i = 0; i < spec_.deepstack_layers.size(); ++i) {
    if (spec_.deepstack_layers[i] != l) continue;
    mergers_[1 + i].backward(rows(state(l + 1)), columns(d_made, static_cast<int>(1 + i)),
                             frozen_ ? Tensor() : d_x);
  }
}

void TrainPatchVision::backward(const Tensor& d_rows, const std::atomic<bool>* cancelled) {
  const Tensor d_x = rows(d_x_);
  ops_.clear(d_x);
  mergers_[0].backward(rows(state(spec_.layers_L)), columns(d_rows, 0), frozen_ ? Tensor() : d_x);
  for (int l = spec_.layers_L; l-- > 0;) {
    check_cancelled(cancelled);
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
  const Tensor d_x = rows(d_x_), mlp = rows(mlp_), h = rows(k.h), normed = rows(normed_),
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
  const Tensor d_x = rows(d_x_), d_qkv = rows(d_qkv_), normed = rows(normed_), d_narrow = rows(d_narrow_);
  ops_.linear_grad_weight(layer.proj, rows(k.attended), d_x);
  ops_.linear_grad_input(layer.proj, d_x, d_narrow);
  ops_.attention_grad(attention_op(l), d_narrow, d_qkv);
  rotate(d_qkv_, -1);
  ops_.norm(layer.norm1, rows(state(l)), normed);
  ops_.linear_grad_weight(layer.qkv, normed, d_qkv);
  ops_.linear_grad_input(layer.qkv, d_qkv, d_narrow);
  ops_.norm_grad(layer.norm1, rows(state(l)), d_narrow, d_x);
}

void TrainPatchVision::activate(const Tensor& h, const Tensor& mlp) {
  spec_.gated_mlp ? ops_.swiglu(h, mlp) : ops_.gelu_tanh(h, mlp);
}

// Leaves the activation's output in place of its gradient, for fc2's weight.
void TrainPatchVision::activate_grad(const Tensor& h, const Tensor& mlp) {
  spec_.gated_mlp ? ops_.swiglu_grad(h, mlp) : ops_.gelu_tanh_grad(h, mlp);
}

void TrainPatchVision::rotate(const Tensor& qkv, float sign) {
  ops_.device_ops().rotate({rows(qkv), rows(angles_), whole_, 2 * spec_.heads_H, sign});
}

TreeAttentionOp TrainPatchVision::attention_op(int l) {
  Kept& k = kept(l);
  const StagedTrees trees = spec_.sees_all(l) ? whole_ : windows_;
  return {rows(k.attended), rows(k.lse), rows(k.qkv), trees, spec_.heads_H, spec_.heads_H};
}

}  // namespace mmprm
