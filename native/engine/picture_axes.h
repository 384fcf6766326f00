// Where each token of a sequence stands where pictures turn by place (models/axes_walk.h). Pure: of the keys before it
// alone, so what is cached or shared stands where it would alone.
#pragma once
#include <map>
#include <span>
#include <vector>

#include "engine/token_key.h"
#include "models/axes_walk.h"

namespace mmprm {

using PictureGrids = std::map<uint32_t, PictureGrid>;  // by the pictures' ids in token keys

// One for each key, and one more: where the token behind the last stands. Each picture has a grid.
std::vector<RopeAxes> axes_of(std::span<const TokenKey> keys, const PictureGrids& grids);

}  // namespace mmprm
