#include "train/patch_layout.h"

#include <numeric>

#include "models/patch_pixels.h"

namespace mmprm {
namespace {

void append_rows(std::vector<float>& to, const std::vector<float>& rows, const std::vector<int32_t>& order) {
  const size_t cols = rows.size() / order.size();
  for (int32_t from : order)
    to.insert(to.end(), rows.begin() + from * cols, rows.begin() + (from + 1) * cols);
}

}  // namespace

void PatchRuns::add(int num_rows) {
  const int first = segments.empty() ? 0 : segments.back().first_row + segments.back().num_rows;
  segments.push_back({first, num_rows, -1});
  tree_begin_1.push_back(static_cast<int32_t>(segments.size()));
  longest = std::max(longest, num_rows);
}

PatchLayout lay_out(const std::vector<PicturePtr>& pictures, const VisionSpec& spec) {
  PatchLayout out;
  for (const PicturePtr& picture : pictures) {
    const PatchGrid grid = patch_grid_of(*picture, spec);
    const WindowOrder order = window_order(grid, spec.window);
    out.num_patches += grid.patches();
    out.whole.add(grid.patches());
    if (spec.window > 0)
      for (int size : order.sizes) out.windows.add(size);
    append_rows(out.pixels, patch_pixels(*picture, spec), order.patches);
    append_rows(out.angles, axial_angles(grid, spec.hidden_C / spec.heads_H, spec.rope_theta), order.patches);
    if (spec.table_side == 0) continue;
    const std::vector<PositionMix> mixes = position_mixes(spec.table_side, grid);
    for (int32_t patch : order.patches) out.positions.push_back(mixes[patch]);
  }
  out.angle_rows.resize(out.num_patches);
  std::iota(out.angle_rows.begin(), out.angle_rows.end(), 0);
  return out;
}

}  // namespace mmprm
