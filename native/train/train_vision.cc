#include "train/train_vision.h"

#include <algorithm>

namespace mmprm {
namespace {

// Which of the L + 1 hidden states goes to the projector: so many layers come before it.
int selected_state(const VisionSpec& spec) {
  return spec.select_layer < 0 ? spec.layers_L + 1 + spec.select_layer : spec.select_layer;
}

bool is_frozen(const TrainVisionParameters& p) { return !p.patch_embedding.weight->trainable; }

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

TrainVision::Kept::Kept(const VisionSpec& s)
    : x_mid(s.hidden_C, DType::kF32),
      qkv(3 * s.hidden_C, DType::kF32),
      attended(s.hidden_C, DType::kF32),
      z1(s.hidden_C, DType::kF32),
      h(s.intermediate_F, DType::kF32),
      z2(s.hidden_C, DType::kF32),
      raw_qk(2 * s.hidden_C, DType::kF32) {}

TrainVision::TrainVision(const TrainModel& model, TrainOps& ops, bool recompute)
    : spec_(*model.spec().vision),
      parameters_(model.vision()),
      ops_(ops),
      num_layers_(selected_state(spec_)),
      frozen_(is_frozen(parameters_)),
      keep_all_(!frozen_ && !recompute),
      recompute_(recompute),
      resize_(spec_.positions_per_side(), spec_.patches_per_side()),
      patches_(parameters_.patch_embedding.weight->cols, DType::kF32),
      normed_(spec_.hidden_C, DType::kF32),
      mlp_(spec_.intermediate_F, DType::kF32),
      d_x_(spec_.hidden_C, DType::kF32),
      d_z_(spec_.hidden_C, DType::kF32),
      d_narrow_(spec_.hidden_C, DType::kF32),
      d_qkv_(3 * spec_.hidden_C, DType::kF32),
      d_raw_qk_(2 * spec_.hidden_C, DType::kF32),
      folded_(parameters_.projector_fc1.weight->cols, DType::kF32),
      folded_normed_(folded_.cols(), DType::kF32),
      projected_h_(parameters_.projector_fc1.weight->rows, DType::kF32),
      projected_(parameters_.projector_fc1.weight->rows, DType::kF32),
      image_rows_(parameters_.projector_fc2.weight->rows, DType::kF32),
      d_folded_(folded_.cols(), DType::kF32),
      d_folded_normed_(folded_.cols(), DType::kF32) {
  for (int l = 0; l <= (frozen_ ? 1 : num_layers_); ++l) x_.emplace_back(spec_.hidden_C, DType::kF32);
  for (int l = 0; l < (keep_all_ ? num_layers_ : 1); ++l) kept_.emplace_back(spec_);
}

void TrainVision::reserve(int tiles) {
  num_rows_ = tiles * rows_per_tile();
  num_folded_ = tiles * spec_.tokens_per_tile();
  patches_.reserve(tiles * num_patches());
  for (RowBuffer& x : x_) x.reserve(num_rows_);
  for (Kept& k : kept_) {
    for (RowBuffer* b : {&k.x_mid, &k.qkv, &k.attended, &k.z1, &k.h, &k.z2}) b->reserve(num_rows_);
    if (spec_.qk_norm) k.raw_qk.reserve(num_rows_);
    k.lse.reserve(size_t(num_rows_) * spec_.heads_H * sizeof(float));
  }
  for (RowBuffer* b : {&normed_, &mlp_, &d_x_, &d_z_, &d_narrow_, &d_qkv_}) b->reserve(num_rows_);
  if (spec_.qk_norm) d_raw_qk_.reserve(num_rows_);
  for (RowBuffer* b :
       {&folded_, &folded_normed_, &projected_h_, &projected_, &image_rows_, &d_folded_, &d_folded_normed_}) {
    b->reserve(num_folded_);
  }
  tiles_.clear();
  tree_begin_1_.assign(1, 0);
  for (int t = 0; t < tiles; ++t) {
    tiles_.push_back({t * rows_per_tile(), rows_per_tile(), -1});
    tree_begin_1_.push_back(t + 1);
  }
}

// Returns the number of tiles.
int TrainVision::read(const std::vector<PicturePtr>& pictures) {
  int tiles = 0;
  size_t size = 0;
  for (const PicturePtr& picture : pictures) {
    pixels_.resize(std::max(pixels_.size(), size + picture->pixels.size()));
    normalise_tiles(*picture, 0, picture->num_tiles, &pixels_[size]);
    size += picture->pixels.size();
    tiles += picture->num_tiles;
  }
  return tiles;
}

Rows TrainVision::forward(const std::vector<PicturePtr>& pictures, const std::atomic<bool>* cancelled) {
  const int tiles = read(pictures);
  reserve(tiles);
  cut_patches(pixels_.data(), tiles);
  embed(tiles);
  for (int l = 0; l < num_layers_; ++l) {
    check(cancelled);
    forward_layer(l);
    if (frozen_) std::swap(x_[0], x_[1]);
  }
  fold(tiles, frozen_ ? x_[0] : x_[num_layers_]);
  return project();
}

// [channel][y][x] inside a patch: the order of the convolution's weights.
void TrainVision::cut_patches(const float* pixels, int tiles) {
  const int side = spec_.patches_per_side(), P = spec_.patch_size, S = spec_.image_size;
  ops_.pool().run(int64_t(tiles) * side * side, 16, [&](int64_t begin, int64_t end) {
    for (int64_t patch = begin; patch < end; ++patch) {
      const float* image = pixels + size_t(patch / (side * side)) * spec_.channels * S * S;
      const int top = int(patch % (side * side)) / side * P, left = int(patch % side) * P;
      float* to = patches_.row_f32(patch);
      for (int channel = 0; channel < spec_.channels; ++channel) {
        for (int y = 0; y < P; ++y, to += P) {
          std::copy_n(image + (size_t(channel) * S + top + y) * S + left, P, to);
        }
      }
    }
  });
}

// WHY again at every pass: a step of the optimizer changes the table.
const float* TrainVision::positions() {
  const float* stored = parameters_.position_embedding->value();
  if (resize_.is_identity()) return stored;
  positions_.resize(resize_.num_rows() * spec_.hidden_C);
  resize_.apply(stored, spec_.hidden_C, positions_.data());
  return positions_.data();
}

void TrainVision::embed(int tiles) {
  const int C = spec_.hidden_C;
  const float* position = positions();
  const Rows patches(patches_, tiles * num_patches());
  for (int t = 0; t < tiles; ++t) {
    float* first = x_[0].row_f32(int64_t(t) * rows_per_tile());
    for (int c = 0; c < C; ++c) first[c] = position[c] + parameters_.class_embedding->value()[c];
    for (int r = 0; r < num_patches(); ++r) {
      std::copy_n(position + size_t(1 + r) * C, C, x_[0].row_f32(int64_t(t) * rows_per_tile() + 1 + r));
    }
    Rows from = patches, to = rows(x_[0]);
    from.data = patches.row(int64_t(t) * num_patches());
    to.data = x_[0].row_f32(int64_t(t) * rows_per_tile() + 1);
    from.rows = to.rows = num_patches();
    ops_.linear(parameters_.patch_embedding, from, to, &to);
  }
}

void TrainVision::embed_grad(int tiles) {
  const int C = spec_.hidden_C;
  float* d_position = parameters_.position_embedding->gradient();
  if (!resize_.is_identity()) {
    d_positions_.assign(resize_.num_rows() * C, 0.0f);
    d_position = d_positions_.data();
  }
  float* d_class = parameters_.class_embedding->gradient();
  for (int t = 0; t < tiles; ++t) {
    for (int r = 0; r < rows_per_tile(); ++r) {
      const float* d = d_x_.row_f32(int64_t(t) * rows_per_tile() + r);
      for (int c = 0; c < C; ++c) d_position[size_t(r) * C + c] += d[c];
      if (r == 0) {
        for (int c = 0; c < C; ++c) d_class[c] += d[c];
      } else {  // close the gaps of the class rows, so that one product serves all tiles
        std::copy_n(d, C, d_z_.row_f32(int64_t(t) * num_patches() + r - 1));
      }
    }
  }
  if (!resize_.is_identity())
    resize_.add_gradient(d_positions_.data(), C, parameters_.position_embedding->gradient());
  const int patches = tiles * num_patches();
  ops_.linear_grad_weight(parameters_.patch_embedding, {patches_, patches}, {d_z_, patches});
}

void TrainVision::norm_heads(const TrainVisionLayer& layer, Kept& k) {
  if (layer.q_norm.empty()) return;
  const int C = spec_.hidden_C;
  for (int r = 0; r < num_rows_; ++r) std::copy_n(k.qkv.row_f32(r), 2 * C, k.raw_qk.row_f32(r));
  ops_.norm(layer.q_norm, columns(rows(k.raw_qk), 0, C), columns(rows(k.qkv), 0, C));
  ops_.norm(layer.k_norm, columns(rows(k.raw_qk), C, C), columns(rows(k.qkv), C, C));
}

void TrainVision::norm_heads_grad(const TrainVisionLayer& layer, Kept& k) {
  if (layer.q_norm.empty()) return;
  const int C = spec_.hidden_C;
  const Rows d_raw = rows(d_raw_qk_), d_qkv = rows(d_qkv_), raw = rows(k.raw_qk);
  for (int r = 0; r < num_rows_; ++r) std::fill_n(d_raw.row(r), 2 * C, 0.0f);
  ops_.norm_grad(layer.q_norm, columns(raw, 0, C), columns(d_qkv, 0, C), columns(d_raw, 0, C));
  ops_.norm_grad(layer.k_norm, columns(raw, C, C), columns(d_qkv, C, C), columns(d_raw, C, C));
  for (int r = 0; r < num_rows_; ++r) std::copy_n(d_raw.row(r), 2 * C, d_qkv.row(r));
}

void TrainVision::forward_layer(size_t l) {
  const TrainVisionLayer& layer = parameters_.layers[l];
  Kept& k = kept(l);
  const Rows x = rows(x_[frozen_ ? 0 : l]), x_mid = rows(k.x_mid), normed = rows(normed_), mlp = rows(mlp_);
  ops_.norm(layer.norm1, x, normed);
  ops_.linear(layer.qkv, normed, rows(k.qkv));
  norm_heads(layer, k);
  ops_.attention(attention_args(k));
  ops_.linear(layer.proj, rows(k.attended), rows(k.z1));
  ops_.scaled_add(x, *layer.scale1, rows(k.z1), x_mid);
  ops_.norm(layer.norm2, x_mid, normed);
  ops_.linear(layer.fc1, normed, rows(k.h));
  ops_.gelu(rows(k.h), mlp);
  ops_.linear(layer.fc2, mlp, rows(k.z2));
  ops_.scaled_add(x_mid, *layer.scale2, rows(k.z2), rows(x_[frozen_ ? 1 : l + 1]));
}

void TrainVision::backward(const Rows& d_rows, const std::atomic<bool>* cancelled) {
  const Rows h(projected_h_, num_folded_), a(projected_, num_folded_), normed(folded_normed_, num_folded_);
  const Rows d_normed(d_folded_normed_, num_folded_), d_folded(d_folded_, num_folded_);
  ops_.linear_grad_input(parameters_.projector_fc2, d_rows, a);
  ops_.gelu_grad(h, a);
  ops_.linear_grad_weight(parameters_.projector_fc2, a, d_rows);
  ops_.linear_grad_weight(parameters_.projector_fc1, normed, h);
  ops_.linear_grad_input(parameters_.projector_fc1, h, d_normed);
  for (int r = 0; r < num_folded_; ++r) std::fill_n(d_folded.row(r), d_folded.cols, 0.0f);
  ops_.norm_grad(parameters_.projector_norm, {folded_, num_folded_}, d_normed, d_folded);
  if (frozen_) return;
  const int tiles = static_cast<int>(tiles_.size());
  unfold_grad(tiles, d_folded);
  for (int l = num_layers_; l-- > 0;) {
    check(cancelled);
    if (recompute_) forward_layer(l);
    backward_layer(l);
  }
  embed_grad(tiles);
}

void TrainVision::backward_layer(size_t l) {
  const TrainVisionLayer& layer = parameters_.layers[l];
  Kept& k = kept(l);
  const Rows x = rows(x_[l]), x_mid = rows(k.x_mid), d_x = rows(d_x_), d_z = rows(d_z_), h = rows(k.h);
  const Rows normed = rows(normed_), mlp = rows(mlp_), d_narrow = rows(d_narrow_), d_qkv = rows(d_qkv_);
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
  TreeAttentionArgs args = attention_args(k);
  args.d_o = d_narrow.data;
  args.d_o_stride = d_narrow.stride;
  args.d_qkv = d_qkv.data;
  ops_.attention_grad(args);
  norm_heads_grad(layer, k);
  ops_.norm(layer.norm1, x, normed);
  ops_.linear_grad_weight(layer.qkv, normed, d_qkv);
  ops_.linear_grad_input(layer.qkv, d_qkv, d_narrow);
  ops_.norm_grad(layer.norm1, x, d_narrow, d_x);
}

namespace {

// Calls body(folded row, block of its columns, row of x): out[R, Q, (dr·f + dq)·C + c] = in[f·R + dr, f·Q +
// dq, c] (v2); v1 numbers the output rows column by column.
template <typename Body>
void for_each_fold(const VisionSpec& s, int tiles, Body body) {
  const int side = s.patches_per_side(), f = s.shuffle_factor, out_side = side / f,
            tokens = s.tokens_per_tile();
  for (int r = 0; r < tiles * tokens; ++r) {
    const int tile = r / tokens, token = r % tokens;
    int R = token / out_side, Q = token % out_side;
    if (s.shuffle == PixelShuffle::kV1) std::swap(R, Q);
    for (int d = 0; d < f * f; ++d) {
      const int patch = (f * R + d / f) * side + f * Q + d % f;
      body(r, d, tile * (1 + side * side) + 1 + patch);
    }
  }
}

}  // namespace

void TrainVision::fold(int tiles, const RowBuffer& x) {
  const int C = spec_.hidden_C;
  for_each_fold(spec_, tiles, [&](int r, int d, int row) {
    std::copy_n(x.row_f32(row), C, folded_.row_f32(r) + size_t(d) * C);
  });
}

void TrainVision::unfold_grad(int tiles, const Rows& d_folded) {
  const int C = spec_.hidden_C;
  for (int t = 0; t < tiles; ++t) std::fill_n(d_x_.row_f32(int64_t(t) * rows_per_tile()), C, 0.0f);
  for_each_fold(spec_, tiles, [&](int r, int d, int row) {
    std::copy_n(d_folded.row(r) + size_t(d) * C, C, d_x_.row_f32(row));
  });
}

Rows TrainVision::project() {
  const Rows normed(folded_normed_, num_folded_), h(projected_h_, num_folded_), a(projected_, num_folded_);
  const Rows out(image_rows_, num_folded_);
  ops_.norm(parameters_.projector_norm, {folded_, num_folded_}, normed);
  ops_.linear(parameters_.projector_fc1, normed, h);
  ops_.gelu(h, a);
  ops_.linear(parameters_.projector_fc2, a, out);
  return out;
}

TreeAttentionArgs TrainVision::attention_args(Kept& kept) {
  TreeAttentionArgs args;
  args.qkv = kept.qkv.row_f32(0);
  args.qkv_stride = kept.qkv.stride();
  args.segments = tiles_.data();
  args.tree_begin_1 = tree_begin_1_.data();
  args.num_trees = static_cast<int>(tiles_.size());
  args.max_keys = rows_per_tile();
  args.causal = false;
  args.num_heads_H = args.num_heads_G = spec_.heads_H;
  args.head_dim_D = spec_.hidden_C / spec_.heads_H;
  args.compute = ops_.compute();
  args.o = kept.attended.row_f32(0);
  args.o_stride = kept.attended.stride();
  args.lse_TH = kept.lse.as<float>();
  return args;
}

}  // namespace mmprm
