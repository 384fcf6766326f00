#include "models/vision.h"

#include <cmath>

#include "base/float_types.h"
#include "models/linear.h"

namespace mmprm {
namespace {

constexpr int kRowsTogether = 2048;

// Which of the L + 1 hidden states goes to the projector.
int selected_state(const VisionSpec& spec) {
  return spec.select_layer < 0 ? spec.layers_L + 1 + spec.select_layer : spec.select_layer;
}

}  // namespace

Vision::Vision(const PackedVision& model, DType activation_dtype)
    : model_(model),
      dtype_(activation_dtype),
      selected_(selected_state(model.spec)),
      x_(model.spec.hidden_C, DType::kF32),
      qkv_(3 * model.spec.hidden_C, DType::kF32),
      patches_(model.patch_embedding.w.K, activation_dtype),
      normed_(model.spec.hidden_C, activation_dtype),
      mlp_(model.spec.intermediate_F, activation_dtype),
      q_(model.spec.hidden_C, activation_dtype),
      attended_(model.spec.hidden_C, activation_dtype),
      shuffled_(model.projector_fc1.w.K, activation_dtype),
      projected_(model.projector_fc2.w.K, activation_dtype) {}

VisionOutput Vision::forward(const float* pixels, int num_tiles, bool want_hidden, const KernelRunner& run) {
  const VisionSpec& s = model_.spec;
  const int together = std::max(1, kRowsTogether / rows_per_tile());
  const size_t tile_pixels = size_t(s.channels) * s.image_size * s.image_size;
  const size_t tile_hidden = size_t(rows_per_tile()) * s.hidden_C;
  VisionOutput out;
  const int last = want_hidden ? s.layers_L : selected_;
  if (want_hidden) out.hidden.resize(size_t(last + 1) * num_tiles * tile_hidden);
  for (int first = 0; first < num_tiles; first += together) {
    const int tiles = std::min(together, num_tiles - first);
    const auto capture = [&](int state) {
      if (!want_hidden) return;
      float* to = out.hidden.data() + (size_t(state) * num_tiles + first) * tile_hidden;
      for (int r = 0; r < tiles * rows_per_tile(); ++r, to += s.hidden_C)
        std::copy_n(x_.row_f32(r), s.hidden_C, to);
    };
    reserve(tiles);
    embed_patches(pixels + first * tile_pixels, tiles, run);
    capture(0);
    for (int l = 0;; ++l) {
      run.check_cancelled();
      if (l == selected_) project(tiles, out.embeds, run);
      if (l == last) break;
      layer(model_.layers[l], tiles, run);
      capture(l + 1);
    }
  }
  return out;
}

void Vision::reserve(int tiles) {
  const int rows = tiles * rows_per_tile(), block = std::min(rows, KernelRunner::kRowBlock);
  for (RowBuffer* all : {&x_, &q_, &attended_}) all->reserve(rows);
  for (RowBuffer* part : {&qkv_, &normed_, &mlp_}) part->reserve(block);
  patches_.reserve(rows_per_tile() - 1);

  const int pages_per_tile = (rows_per_tile() + kPageTokens - 1) / kPageTokens;
  kv_.reserve(size_t(tiles) * pages_per_tile * kv().page_bytes());
  pages_.resize(size_t(tiles) * pages_per_tile);
  for (size_t p = 0; p < pages_.size(); ++p) pages_[p] = static_cast<int32_t>(p);
  rows_T_.clear();
  slots_T_.clear();
  slot_begin_T1_.assign(1, 0);
  for (int tile = 0; tile < tiles; ++tile) {
    const int32_t* pages = pages_.data() + size_t(tile) * pages_per_tile;
    for (int r = 0; r < rows_per_tile(); ++r) {
      rows_T_.push_back({pages, rows_per_tile()});
      slots_T_.push_back({pages[r / kPageTokens], r % kPageTokens});
      slot_begin_T1_.push_back(static_cast<int32_t>(slots_T_.size()));
    }
  }
}

// The convolution with stride = kernel is a matrix product over cut-out patches, [channel][y][x] inside a
// patch.
void Vision::embed_patches(const float* pixels, int tiles, const KernelRunner& run) {
  const VisionSpec& s = model_.spec;
  const int side = s.patches_per_side(), P = s.patch_size, S = s.image_size, C = s.hidden_C;
  for (int tile = 0; tile < tiles; ++tile) {
    const float* image = pixels + size_t(tile) * s.channels * S * S;
    for (int patch = 0; patch < side * side; ++patch) {
      const int top = patch / side * P, left = patch % side * P;
      int k = 0;
      for (int channel = 0; channel < s.channels; ++channel) {
        for (int y = 0; y < P; ++y) {
          const float* from = image + (size_t(channel) * S + top + y) * S + left;
          for (int x = 0; x < P; ++x) store_from_f32(patches_.row(patch), dtype_, k++, from[x]);
        }
      }
    }
    const int first = tile * rows_per_tile();
    const float* position = model_.position_embedding.data();
    for (int r = 0; r < rows_per_tile(); ++r) std::copy_n(position + size_t(r) * C, C, x_.row_f32(first + r));
    for (int c = 0; c < C; ++c) x_.row_f32(first)[c] += model_.class_embedding[c];
    run.gemm(
        linear_args(model_.patch_embedding, patches_, 0, side * side, x_, first + 1, Epilogue::kAccumulate));
  }
}

void Vision::norm(const std::vector<float>& weight, const std::vector<float>& bias, int first, int rows,
                  const KernelRunner& run) {
  const VisionSpec& s = model_.spec;
  if (s.norm == NormKind::kRms) {
    run.rmsnorm({x_.row_f32(first), x_.stride(), nullptr, weight.data(), normed_.row(0), dtype_,
                 normed_.stride(), rows, s.hidden_C, s.eps});
  } else {
    run.layernorm({x_.row_f32(first), x_.stride(), weight.data(), bias.data(), normed_.row(0), dtype_,
                   normed_.stride(), rows, s.hidden_C, s.eps});
  }
}

void Vision::layer(const PackedVisionLayer& layer, int tiles, const KernelRunner& run) {
  const int T = tiles * rows_per_tile();
  write_qkv(layer, T, run);
  attend(T, run);
  KernelRunner::for_row_blocks(T, [&](int first, int rows) {
    GemmArgs proj = linear_args(layer.proj, attended_, first, rows, x_, first, Epilogue::kAccumulate);
    proj.column_scale_N = layer.scale1.empty() ? nullptr : layer.scale1.data();
    run.gemm(proj);
    norm(layer.norm2, layer.norm2_bias, first, rows, run);
    run.gemm(linear_args(layer.fc1, normed_, 0, rows, mlp_, 0, Epilogue::kGelu));
    GemmArgs fc2 = linear_args(layer.fc2, mlp_, 0, rows, x_, first, Epilogue::kAccumulate);
    fc2.column_scale_N = layer.scale2.empty() ? nullptr : layer.scale2.data();
    run.gemm(fc2);
  });
}

void Vision::write_qkv(const PackedVisionLayer& layer, int T, const KernelRunner& run) {
  const VisionSpec& s = model_.spec;
  KernelRunner::for_row_blocks(T, [&](int first, int rows) {
    norm(layer.norm1, layer.norm1_bias, first, rows, run);
    run.gemm(linear_args(layer.qkv, normed_, 0, rows, qkv_, 0, Epilogue::kStore));
    if (s.qk_norm) {  // over all heads together, in place
      for (int part = 0; part < 2; ++part) {
        float* x = qkv_.row_f32(0) + size_t(part) * s.hidden_C;
        const std::vector<float>& weight = part == 0 ? layer.q_norm : layer.k_norm;
        run.rmsnorm({x, qkv_.stride(), nullptr, weight.data(), x, DType::kF32, qkv_.stride(), rows,
                     s.hidden_C, s.qk_norm_eps});
      }
    }
    RopeArgs split;
    split.qkv = qkv_.row_f32(0);
    split.qkv_stride = qkv_.stride();
    split.q = q_.row(first);
    split.q_stride = q_.stride();
    split.q_scale = float(1.0 / std::sqrt(double(head_dim())));
    split.T = rows;
    split.num_heads_H = s.heads_H;
    split.kv = kv();
    split.slots = slots_T_.data();
    split.slot_begin_T1 = slot_begin_T1_.data() + first;
    run.rope(split);
  });
}

void Vision::attend(int T, const KernelRunner& run) {
  AttentionArgs args;
  args.q = q_.row(0);
  args.o = attended_.row(0);
  args.dtype = dtype_;
  args.stride = q_.stride();
  args.rows_T = rows_T_.data();
  args.T = T;
  args.num_heads_H = model_.spec.heads_H;
  args.kv = kv();
  run.attention(args);
}

// Pixel shuffle folds factor² neighbouring patches into one row: out[R, Q, (dr·factor + dq)·C + c] =
// in[factor·R + dr, factor·Q + dq, c] (v2); v1 numbers the output rows column by column. Then the projector.
void Vision::project(int tiles, std::vector<float>& embeds, const KernelRunner& run) {
  const VisionSpec& s = model_.spec;
  const int side = s.patches_per_side(), f = s.shuffle_factor, out_side = side / f,
            tokens = s.tokens_per_tile();
  const int C = s.hidden_C, wide = f * f * C, C_out = model_.projector_fc2.w.N;
  const int rows = tiles * tokens;
  RowBuffer folded(wide, DType::kF32);
  folded.reserve(rows);
  shuffled_.reserve(rows);
  projected_.reserve(rows);
  for (int r = 0; r < rows; ++r) {
    const int tile = r / tokens, token = r % tokens;
    int R = token / out_side, Q = token % out_side;
    if (s.shuffle == PixelShuffle::kV1) std::swap(R, Q);
    for (int d = 0; d < f * f; ++d) {
      const int patch = (f * R + d / f) * side + f * Q + d % f;
      std::copy_n(x_.row_f32(tile * rows_per_tile() + 1 + patch), C, folded.row_f32(r) + size_t(d) * C);
    }
  }
  run.layernorm({folded.row_f32(0), folded.stride(), model_.projector_norm.data(),
                 model_.projector_norm_bias.data(), shuffled_.row(0), dtype_, shuffled_.stride(), rows, wide,
                 s.projector_eps});
  run.gemm(linear_args(model_.projector_fc1, shuffled_, 0, rows, projected_, 0, Epilogue::kGelu));
  const size_t before = embeds.size();
  embeds.resize(before + size_t(rows) * C_out);
  GemmArgs fc2 = linear_args(model_.projector_fc2, projected_, 0, rows, projected_, 0, Epilogue::kStore);
  fc2.y = embeds.data() + before;
  fc2.y_dtype = DType::kF32;
  fc2.y_stride = fc2.y_cols = C_out;
  run.gemm(fc2);
}

}  // namespace mmprm
