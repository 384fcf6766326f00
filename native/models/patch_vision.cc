#include "models/patch_vision.h"

#include <algorithm>
#include <cmath>

#include "base/float_types.h"

namespace mmprm {
namespace {

// Runs of rows, each of which sees its own run, in pages of its own; no row stands in two.
StepPlan plan_runs(const std::vector<int>& sizes, const std::vector<int32_t>& outputs) {
  StepPlan plan;
  plan.slot_begin_T1.push_back(0);
  for (int size : sizes) {
    const int first_page = static_cast<int>(plan.pages.size());
    for (int p = 0; p < (size + kPageTokens - 1) / kPageTokens; ++p) plan.pages.push_back(first_page + p);
    for (int r = 0; r < size; ++r) {
      plan.positions_T.push_back(static_cast<int32_t>(plan.keys_T.size()));
      plan.keys_T.push_back({first_page, size});
      plan.slots.push_back({first_page + r / kPageTokens, r % kPageTokens});
      plan.slot_begin_T1.push_back(static_cast<int32_t>(plan.slots.size()));
    }
  }
  plan.output_rows = outputs;
  return plan;
}

// What holds [order[0]], [order[1]] … of rows that come one behind the other.
template <typename T>
std::vector<T> reordered(const T* rows, int row_size, const std::vector<int32_t>& order) {
  std::vector<T> out;
  out.reserve(order.size() * row_size);
  for (int32_t from : order)
    out.insert(out.end(), rows + size_t(from) * row_size, rows + size_t(from + 1) * row_size);
  return out;
}

std::vector<int32_t> inverse(const std::vector<int32_t>& order) {
  std::vector<int32_t> out(order.size());
  for (size_t i = 0; i < order.size(); ++i) out[order[i]] = static_cast<int32_t>(i);
  return out;
}

}  // namespace

PatchVision::PatchVision(Device& device, const PackedVision& model, DType activation_dtype)
    : device_(device),
      model_(model),
      dtype_(activation_dtype),
      merger_{model.projector_norm, model.projector_fc1, model.projector_fc2},
      workspace_(device) {}

void PatchVision::forward(const Picture& picture, const Stop& stop, const OnRows& on_rows) {
  run(picture, stop, on_rows, {});
}

std::vector<float> PatchVision::forward_hidden(const Picture& picture, const Stop& stop,
                                               const OnRows& on_rows) {
  const int C = model_.spec.hidden_C, T = grid_of(picture).patches();
  const std::vector<int32_t> back = inverse(prepare(grid_of(picture)).order);
  std::vector<float> hidden, state(size_t(T) * C);
  run(picture, stop, on_rows, [&] {
    device_.read(state.data(), x_.part(0, T));
    const std::vector<float> rows = reordered(state.data(), C, back);
    hidden.insert(hidden.end(), rows.begin(), rows.end());
  });
  return hidden;
}

void PatchVision::run(const Picture& picture, const Stop& stop, const OnRows& on_rows,
                      const OnState& on_state) {
  const VisionSpec& s = model_.spec;
  const PatchGrid grid = grid_of(picture);
  const int out = out_width();
  Rows rows = prepare(grid);
  reserve(rows);
  write_angles(rows, grid);
  embed(pixels_of(picture), rows, grid);
  if (on_state) on_state();
  const Tensor made = rows_.part(0, grid.blocks());
  for (int l = 0; l < s.layers_L; ++l) {
    stop();
    stage(rows, s.sees_all(l));
    layer(model_.layers[l], rows.staged);
    if (on_state) on_state();
    for (size_t i = 0; i < s.deepstack_layers.size(); ++i) {
      if (s.deepstack_layers[i] == l)
        merge(model_.deepstack[i], false, in_pixel_order(rows), made.columns(int64_t(1 + i) * out, out));
    }
  }
  merge(merger_, true, in_pixel_order(rows), made.columns(0, out));
  on_rows(made);
}

PatchVision::Rows PatchVision::prepare(const PatchGrid& grid) {
  Rows rows;
  rows.patches = grid.patches();
  const WindowOrder order = window_order(grid, model_.spec.window);
  rows.order = order.patches;
  const std::vector<int32_t> back = inverse(rows.order);
  rows.whole = plan_runs({grid.patches()}, back);
  if (model_.spec.window > 0) rows.windows = plan_runs(order.sizes, back);
  return rows;
}

void PatchVision::reserve(const Rows& rows) {
  const VisionSpec& s = model_.spec;
  const int num_pages = static_cast<int>(std::max(rows.whole.pages.size(), rows.windows.pages.size()));
  if (num_pages > pages_.count) {
    device_.release(pages_);
    pages_ = {};
    pages_ = device_.pages({1, s.heads_H, head_dim(), dtype_}, num_pages);
  }
  const int T = device_.stage(rows.whole, pages_).rows, C = s.hidden_C;
  const int block = std::min(T, device_.info().row_block), tokens = rows.patches / (s.merge * s.merge);
  const int wide = C * s.merge * s.merge;
  const auto reserve = [&](Tensor& t, int rows, int cols, DType dtype) {
    workspace_.reserve(t, rows, cols, dtype);
  };
  reserve(patches_, rows.patches, model_.patch_embedding.K, dtype_);
  reserve(x_, T, C, DType::kF32);
  reserve(ordered_, rows.patches, C, DType::kF32);
  reserve(q_, T, C, dtype_);
  reserve(attended_, T, C, dtype_);
  reserve(qkv_, block, 3 * C, DType::kF32);
  reserve(normed_, block, C, dtype_);
  reserve(mlp_, block, s.intermediate_F, dtype_);
  reserve(patch_normed_, rows.patches, C, DType::kF32);
  reserve(folded_, tokens, wide, DType::kF32);
  reserve(merged_, tokens, wide, dtype_);
  reserve(projected_, tokens, wide, dtype_);
  reserve(rows_, tokens, out_width() * (1 + num_features()), DType::kF32);
}

// Angles stand without gaps, one row behind the other.
void PatchVision::write_angles(const Rows& rows, const PatchGrid& grid) {
  const int D = head_dim();
  const std::vector<float> angles = axial_angles(grid, D, model_.spec.rope_theta);
  const std::vector<float> ordered = reordered(angles.data(), D, rows.order);
  if (rows.patches > angles_.rows) {
    Tensor line = angles_;
    line.rows = line.empty() ? 0 : 1;
    workspace_.release(line);
    workspace_.reserve(line, 1, rows.patches * D, DType::kF32);
    angles_ = {line.at, DType::kF32, rows.patches, D, D};
  }
  const int size = rows.patches * D;
  device_.write({angles_.at, DType::kF32, 1, size, size}, ordered.data());
}

void PatchVision::embed(const std::vector<float>& pixels, const Rows& rows, const PatchGrid& grid) {
  const VisionSpec& s = model_.spec;
  const int K = model_.patch_embedding.K;
  const std::vector<float> ordered = reordered(pixels.data(), K, rows.order);
  const Tensor patches = patches_.part(0, rows.patches), x = x_.part(0, rows.patches);
  if (dtype_ == DType::kF32) {
    device_.write(patches, ordered.data());
  } else {
    std::vector<std::byte> narrow(ordered.size() * dtype_bytes(dtype_));
    for (size_t i = 0; i < ordered.size(); ++i) store_from_f32(narrow.data(), dtype_, int64_t(i), ordered[i]);
    device_.write(patches, narrow.data());
  }
  if (!model_.position_table.empty()) {
    const std::vector<float> positions =
        interpolate_positions(model_.position_table, s.table_side, s.hidden_C, grid);
    device_.write(x, reordered(positions.data(), s.hidden_C, rows.order).data());
  }
  const Epilogue epilogue = model_.position_table.empty() ? Epilogue::kStore : Epilogue::kAccumulate;
  device_.linear({x, patches, model_.patch_embedding, {}, epilogue});
}

void PatchVision::stage(Rows& rows, bool whole) {
  if (rows.staged.id != 0 && rows.staged_whole == whole) return;
  rows.staged = device_.stage(whole ? rows.whole : rows.windows, pages_);
  rows.staged_whole = whole;
}

void PatchVision::layer(const PackedVisionLayer& layer, const Staged& plan) {
  const VisionSpec& s = model_.spec;
  const int T = plan.rows;
  const float q_scale = float(1.0 / std::sqrt(double(head_dim())));
  for_row_blocks(device_, T, [&](int first, int rows) {
    const Tensor normed = normed_.part(0, rows), qkv = qkv_.part(0, rows);
    norm(layer.norm1, normed, x_.part(first, rows));
    device_.linear({qkv, normed, layer.qkv, {}, Epilogue::kStore});
    device_.rope({q_.part(first, rows), qkv, angles_, plan, pages_, first, 0, s.heads_H, q_scale});
  });
  device_.attention({attended_.part(0, T), q_.part(0, T), plan, pages_, 0, s.heads_H, false});
  for_row_blocks(device_, T, [&](int first, int rows) {
    const Tensor x = x_.part(first, rows), normed = normed_.part(0, rows), mlp = mlp_.part(0, rows);
    device_.linear({x, attended_.part(first, rows), layer.proj, {}, Epilogue::kAccumulate});
    norm(layer.norm2, normed, x);
    device_.linear({mlp, normed, layer.fc1, {}, s.gated_mlp ? Epilogue::kSwiglu : Epilogue::kGeluTanh});
    device_.linear({x, mlp, layer.fc2, {}, Epilogue::kAccumulate});
  });
}

// The rows as the pixels came.
Tensor PatchVision::in_pixel_order(const Rows& rows) {
  if (model_.spec.window == 0) return x_.part(0, rows.patches);
  const Tensor ordered = ordered_.part(0, rows.patches);
  device_.gather({ordered, x_, rows.staged, RowList::kOutputs});
  return ordered;
}

// A merge block's patches stand one behind the other: to fold, a square of merge × merge.
void PatchVision::merge(const MergerOf<NormWeights, Linear>& merger, bool norm_first, const Tensor& x,
                        const Tensor& rows) {
  const int side = model_.spec.merge;
  const Tensor merged = merged_.part(0, rows.rows), projected = projected_.part(0, rows.rows);
  if (norm_first) {
    const Tensor normed = patch_normed_.part(0, x.rows);
    norm(merger.norm, normed, x);
    device_.fold({merged, normed, side, side});
  } else {
    const Tensor folded = folded_.part(0, rows.rows);
    device_.fold({folded, x, side, side});
    norm(merger.norm, merged, folded);
  }
  device_.linear({projected, merged, merger.fc1, {}, Epilogue::kGelu});
  device_.linear({rows, projected, merger.fc2, {}, Epilogue::kStore});
}

void PatchVision::norm(const NormWeights& norm, const Tensor& y, const Tensor& x) {
  device_.norm({y, x, norm.weight, norm.bias, norm.eps});
}

}  // namespace mmprm
