// Where each token of a sequence stands where pictures turn by place (M-RoPE): a picture that begins at p has its rows at
// time p, row p + r, column p + c of the grid of merged patches; what follows goes on behind the longer side. Pure:
// of the keys before it alone, so what is cached or shared stands where it would alone.
#pragma once
#include <map>
#include <span>
#include <vector>

#include "device/step_plan.h"
#include "engine/token_key.h"

namespace mmprm {

// In merged patches: rows of the language model.
struct PictureGrid {
  int32_t rows = 0, columns = 0;
};
using PictureGrids = std::map<uint32_t, PictureGrid>;  // by the pictures' ids in token keys

// One for each key, and one more: where the token behind the last stands. Each picture has a grid.
std::vector<RopeAxes> axes_of(std::span<const TokenKey> keys, const PictureGrids& grids);

}  // namespace mmprm
