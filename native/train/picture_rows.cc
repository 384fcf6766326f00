#include "train/picture_rows.h"

#include "models/patch_pixels.h"

namespace mmprm {
namespace {

// Merge blocks as the tower has them: window by window where it works so. WHY here: rows that are looked up one by one
// need not be brought back into the picture's order.
std::vector<int32_t> blocks_in_order(const PatchGrid& grid, const VisionSpec& spec) {
  const int area = grid.merge * grid.merge;
  std::vector<int32_t> place(grid.blocks());
  const std::vector<int32_t> patches = window_order(grid, spec.window).patches;
  for (int b = 0; b < grid.blocks(); ++b) place[patches[size_t(b) * area] / area] = b;
  return place;
}

}  // namespace

int num_picture_rows(const Picture& picture, const VisionSpec& spec) {
  if (spec.kind == VisionKind::kPatches) return patch_grid_of(picture, spec).blocks();
  return picture.num_tiles * spec.tokens_per_tile();
}

std::vector<PictureRows> rows_of_pictures(const std::vector<PicturePtr>& pictures, const VisionSpec& spec) {
  std::vector<PictureRows> all;
  int32_t first = 0;
  for (const PicturePtr& picture : pictures) {
    PictureRows& out = all.emplace_back();
    const int count = num_picture_rows(*picture, spec);
    if (spec.kind == VisionKind::kPatches) {
      const PatchGrid grid = patch_grid_of(*picture, spec);
      out.grid = {grid.rows / grid.merge, grid.columns / grid.merge};
      out.rows = blocks_in_order(grid, spec);
    } else {
      for (int32_t r = 0; r < count; ++r) out.rows.push_back(r);
    }
    for (int32_t& row : out.rows) row += first;
    first += count;
  }
  return all;
}

}  // namespace mmprm
