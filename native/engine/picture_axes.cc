#include "engine/picture_axes.h"

#include <algorithm>

namespace mmprm {

std::vector<RopeAxes> axes_of(std::span<const TokenKey> keys, const PictureGrids& grids) {
  std::vector<RopeAxes> axes;
  int32_t next = 0, begin = 0;
  for (TokenKey key : keys) {
    if (!is_image(key)) {
      axes.push_back(RopeAxes::text(next++));
      continue;
    }
    const PictureGrid grid = grids.at(image_of(key));
    const auto row = static_cast<int32_t>(image_row_of(key));
    if (row == 0) begin = next;
    axes.push_back({begin, begin + row / grid.columns, begin + row % grid.columns});
    next = begin + std::max(grid.rows, grid.columns);
  }
  axes.push_back(RopeAxes::text(next));
  return axes;
}

}  // namespace mmprm
