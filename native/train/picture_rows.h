// Where the rows of pictures stand among those that the tower makes of a batch, and on which grid. Pure.
#pragma once
#include <vector>

#include "include/engine/picture.h"
#include "models/axes_walk.h"
#include "models/model_spec.h"

namespace mmprm {

struct PictureRows {
  std::vector<int32_t> rows;  // of the tower's result, in the order of the picture's tokens
  PictureGrid grid;           // that they lie on; empty for tiles
};

// Rows that a picture has in the language model.
int num_picture_rows(const Picture& picture, const VisionSpec& spec);
std::vector<PictureRows> rows_of_pictures(const std::vector<PicturePtr>& pictures, const VisionSpec& spec);

}  // namespace mmprm
