#include "train/patch_layout.h"

#include <algorithm>
#include <iterator>
#include <numeric>

#include "models/patch_pixels.h"

namespace mmprm {
namespace {

void append_rows(std::vector<float>& to, const std::vector<float>& rows, const std::vector<int32_t>& order) {
  const size_t cols = rows.size() / order.size();
  for (int32_t from : order)
    to.insert(to.end(), rows.begin() + from * cols, rows.begin() + (from + 1) * cols);
}

// Rows that see each other.
void add_run(TreePlan& plan, int num_rows) {
  const TreeSegment last = plan.segments.empty() ? TreeSegment() : plan.segments.back();
  plan.segments.push_back({last.first_row + last.num_rows, num_rows, -1});
  plan.tree_begin_1.push_back(static_cast<int32_t>(plan.segments.size()));
  plan.max_keys = std::max(plan.max_keys, num_rows);
  plan.causal = false;
}

}  // namespace

PatchLayout lay_out(const std::vector<PicturePtr>& pictures, const VisionSpec& spec) {
  PatchLayout out;
  for (const PicturePtr& picture : pictures) {
    const PatchGrid grid = patch_grid_of(*picture, spec);
    const WindowOrder order = window_order(grid, spec.window);
    out.num_patches += grid.patches();
    add_run(out.whole, grid.patches());
    if (spec.window > 0)
      for (int size : order.sizes) add_run(out.windows, size);
    append_rows(out.pixels, patch_pixels(*picture, spec), order.patches);
    append_rows(out.angles, axial_angles(grid, spec.hidden_C / spec.heads_H, spec.rope_theta), order.patches);
    if (spec.table_side == 0) continue;
    const std::vector<PositionMix> mixes = position_mixes(spec.table_side, grid);
    for (int32_t patch : order.patches) {
      out.rows.insert(out.rows.end(), std::begin(mixes[patch].rows), std::end(mixes[patch].rows));
      out.weights.insert(out.weights.end(), std::begin(mixes[patch].weights), std::end(mixes[patch].weights));
    }
  }
  out.whole.positions_T.resize(out.num_patches);
  std::iota(out.whole.positions_T.begin(), out.whole.positions_T.end(), 0);
  return out;
}

}  // namespace mmprm
