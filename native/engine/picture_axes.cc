#include "engine/picture_axes.h"

namespace mmprm {

std::vector<RopeAxes> axes_of(std::span<const TokenKey> keys, const PictureGrids& grids) {
  std::vector<RopeAxes> axes;
  AxesWalk walk;
  for (TokenKey key : keys) {
    const bool shown = is_image(key);
    axes.push_back(shown ? walk.picture(grids.at(image_of(key)), static_cast<int32_t>(image_row_of(key)))
                         : walk.text());
  }
  axes.push_back(walk.text());
  return axes;
}

}  // namespace mmprm
