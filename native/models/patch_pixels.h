// What a tower of patches reads of a picture: its pixels, patch by patch.
#pragma once
#include <vector>

#include "include/engine/picture.h"
#include "models/model_spec.h"
#include "models/patch_grid.h"

namespace mmprm {

PatchGrid patch_grid_of(const Picture& picture, const VisionSpec& spec);
// [patches, channels · frames · patch²], normalised, merge block by merge block.
std::vector<float> patch_pixels(const Picture& picture, const VisionSpec& spec);

}  // namespace mmprm
