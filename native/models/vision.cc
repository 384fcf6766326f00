#include "models/vision.h"

#include <cmath>

namespace mmprm {
namespace {

constexpr int kRowsTogether = 2048;

// Which of the L + 1 hidden states goes to the projector.
int selected_state(const VisionSpec& spec) {
  return spec.select_layer < 0 ? spec.layers_L + 1 + spec.select_layer : spec.select_layer;
}

// Every row of a tile sees all rows of the tile, in pages of the tile's own.
StepPlan plan_tiles(int tiles, int rows_per_tile) {
  StepPlan plan;
  const int pages_per_tile = (rows_per_tile + kPageTokens - 1) / kPageTokens;
  plan.slot_begin_T1.push_back(0);
  for (int p = 0; p < tiles * pages_per_tile; ++p) plan.pages.push_back(p);
  for (int tile = 0; tile < tiles; ++tile) {
    const int first_page = tile * pages_per_tile;
    for (int r = 0; r < rows_per_tile; ++r) {
      plan.keys_T.push_back({first_page, rows_per_tile});
      plan.slots.push_back({first_page + r / kPageTokens, r % kPageTokens});
      plan.slot_begin_T1.push_back(static_cast<int32_t>(plan.slots.size()));
    }
  }
  return plan;
}

}  // namespace

Vision::Vision(Device& device, const PackedVision& model, DType activation_dtype)
    : device_(device),
      model_(model),
      dtype_(activation_dtype),
      selected_(selected_state(model.spec)),
      workspace_(device) {}

void Vision::forward(const Picture& picture, const Stop& stop, const OnRows& on_rows) {
  for_tiles(picture, false, stop, [&](const Pass& pass, int first_tile) {
    on_rows(first_tile, rows_.part(0, pass.tiles * model_.spec.tokens_per_tile()));
  });
}

std::vector<float> Vision::forward_hidden(const Picture& picture, const Stop& stop, const OnRows& on_rows) {
  const int num_tiles = picture.num_tiles, states = model_.spec.layers_L + 1, rows = rows_per_tile();
  const size_t tile_floats = size_t(rows) * model_.spec.hidden_C;
  std::vector<float> hidden(size_t(states) * num_tiles * tile_floats);
  for_tiles(picture, true, stop, [&](const Pass& pass, int first_tile) {
    on_rows(first_tile, rows_.part(0, pass.tiles * model_.spec.tokens_per_tile()));
    for (int s = 0; s < states; ++s) {
      device_.read(&hidden[(size_t(s) * num_tiles + first_tile) * tile_floats],
                   hidden_.part(int64_t(s) * pass.plan.rows, pass.tiles * rows));
    }
  });
  workspace_.release(hidden_);
  return hidden;
}

void Vision::for_tiles(const Picture& picture, bool want_hidden, const Stop& stop,
                       const std::function<void(const Pass&, int first_tile)>& done) {
  const int together = std::max(1, kRowsTogether / rows_per_tile());
  for (int first = 0; first < picture.num_tiles; first += together) {
    const Pass pass = prepare(picture, first, std::min(together, picture.num_tiles - first), want_hidden);
    const uint64_t graph = workspace_.graph(pages_, {}, want_hidden);
    device_.run({graph, pass.plan}, stop, [&] { compute(pass); });
    done(pass, first);
  }
}

Vision::Pass Vision::prepare(const Picture& picture, int first_tile, int tiles, bool want_hidden) {
  const VisionSpec& s = model_.spec;
  const StepPlan plan = plan_tiles(tiles, rows_per_tile());
  if (const int num_pages = static_cast<int>(plan.pages.size()); num_pages > pages_.count) {
    device_.release(pages_);
    pages_ = {};
    pages_ = device_.pages({1, s.heads_H, head_dim(), dtype_}, num_pages);
  }
  const Staged staged = device_.stage(plan, pages_);
  const int T = staged.rows, block = std::min(T, device_.info().row_block), C = s.hidden_C;
  const int tokens = tiles * s.tokens_per_tile(), wide = model_.projector_fc1.K;
  const auto reserve = [&](Tensor& t, int rows, int cols, DType dtype) {
    workspace_.reserve(t, rows, cols, dtype);
  };
  reserve(pixels_, tiles * s.channels * s.image_size, s.image_size, DType::kF32);
  reserve(patches_, tiles * num_patches(), model_.patch_embedding.K, dtype_);
  reserve(x_, T, C, DType::kF32);
  reserve(q_, T, C, dtype_);
  reserve(attended_, T, C, dtype_);
  reserve(qkv_, block, 3 * C, DType::kF32);
  reserve(normed_, block, C, dtype_);
  reserve(mlp_, block, s.intermediate_F, dtype_);
  reserve(folded_, tokens, wide, DType::kF32);
  reserve(shuffled_, tokens, wide, dtype_);
  reserve(projected_, tokens, model_.projector_fc2.K, dtype_);
  reserve(rows_, tokens, out_width(), DType::kF32);
  if (want_hidden) reserve(hidden_, (s.layers_L + 1) * T, C, DType::kF32);
  normalised_.resize(tiles * picture.tile_bytes());
  normalise_tiles(picture, first_tile, tiles, normalised_.data());
  device_.write(pixels_.part(0, tiles * s.channels * s.image_size), normalised_.data());
  return {staged, tiles, want_hidden};
}

void Vision::compute(const Pass& pass) {
  const int T = pass.plan.rows, last = pass.want_hidden ? model_.spec.layers_L : selected_;
  embed_patches(pass.tiles);
  for (int l = 0;; ++l) {
    if (pass.want_hidden) device_.copy({hidden_.part(int64_t(l) * T, T), x_.part(0, T)});
    if (l == selected_) project(pass.tiles);
    if (l == last) return;
    layer(model_.layers[l], pass);
  }
}

// The convolution with stride = kernel is a matrix product over cut-out patches.
void Vision::embed_patches(int tiles) {
  const VisionSpec& s = model_.spec;
  const int n = num_patches();
  const Tensor pixels = pixels_.part(0, tiles * s.channels * s.image_size);
  device_.repeat({x_.part(0, tiles * rows_per_tile()), model_.position_embedding});
  device_.patches({patches_.part(0, tiles * n), pixels, s.channels, s.patch_size});
  for (int tile = 0; tile < tiles; ++tile) {
    device_.linear({x_.part(tile * rows_per_tile() + 1, n),
                    patches_.part(tile * n, n),
                    model_.patch_embedding,
                    {},
                    Epilogue::kAccumulate});
  }
}

void Vision::layer(const PackedVisionLayer& layer, const Pass& pass) {
  write_qkv(layer, pass);
  const int T = pass.plan.rows;
  device_.attention({attended_.part(0, T), q_.part(0, T), pass.plan, pages_, 0, model_.spec.heads_H, false});
  for_row_blocks(device_, T, [&](int first, int rows) {
    const Tensor x = x_.part(first, rows), normed = normed_.part(0, rows), mlp = mlp_.part(0, rows);
    device_.linear({x, attended_.part(first, rows), layer.proj, layer.scale1, Epilogue::kAccumulate});
    norm(layer.norm2, normed, x);
    device_.linear({mlp, normed, layer.fc1, {}, Epilogue::kGelu});
    device_.linear({x, mlp, layer.fc2, layer.scale2, Epilogue::kAccumulate});
  });
}

void Vision::write_qkv(const PackedVisionLayer& layer, const Pass& pass) {
  const int C = model_.spec.hidden_C;
  const float q_scale = float(1.0 / std::sqrt(double(head_dim())));
  for_row_blocks(device_, pass.plan.rows, [&](int first, int rows) {
    const Tensor normed = normed_.part(0, rows), qkv = qkv_.part(0, rows);
    norm(layer.norm1, normed, x_.part(first, rows));
    device_.linear({qkv, normed, layer.qkv, {}, Epilogue::kStore});
    if (model_.spec.qk_norm) {  // over all heads together, in place
      norm(layer.q_norm, qkv.columns(0, C), qkv.columns(0, C));
      norm(layer.k_norm, qkv.columns(C, C), qkv.columns(C, C));
    }
    device_.rope({q_.part(first, rows), qkv, {}, pass.plan, pages_, first, 0, model_.spec.heads_H, q_scale});
  });
}

// Pixel shuffle folds factor² neighbouring patches into one row; v1 numbers the rows column
// by column. Then the projector.
void Vision::project(int tiles) {
  const VisionSpec& s = model_.spec;
  const int tokens = tiles * s.tokens_per_tile();
  const Tensor folded = folded_.part(0, tokens), shuffled = shuffled_.part(0, tokens);
  const Tensor projected = projected_.part(0, tokens);
  device_.fold({folded, x_.part(0, tiles * rows_per_tile()), s.patches_per_side(), s.shuffle_factor, 1,
                s.shuffle == PixelShuffle::kV1});
  norm(model_.projector_norm, shuffled, folded);
  device_.linear({projected, shuffled, model_.projector_fc1, {}, Epilogue::kGelu});
  device_.linear({rows_.part(0, tokens), projected, model_.projector_fc2, {}, Epilogue::kStore});
}

void Vision::norm(const NormWeights& norm, const Tensor& y, const Tensor& x) {
  device_.norm({y, x, norm.weight, norm.bias, norm.eps});
}

}  // namespace mmprm
