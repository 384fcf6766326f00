// Where the tokens of a sequence stand where pictures turn by place (M-RoPE), told one token after the other: a text runs
// on; a picture that begins at p has its rows at time p, row p + r, column p + c of the grid of merged patches; what
// follows goes on behind the longer side.
#pragma once
#include <algorithm>

#include "device/step_plan.h"

namespace mmprm {

// In merged patches: rows of the language model.
struct PictureGrid {
  int32_t rows = 0, columns = 0;
};

class AxesWalk {
 public:
  RopeAxes text() { return RopeAxes::text(next_++); }
  // Row `index` of a picture, counted along the rows of its grid; its rows come in order, from the first.
  RopeAxes picture(PictureGrid grid, int32_t index) {
    if (index == 0) begin_ = next_;
    next_ = begin_ + std::max(grid.rows, grid.columns);
    return {begin_, begin_ + index / grid.columns, begin_ + index % grid.columns};
  }

 private:
  int32_t next_ = 0, begin_ = 0;
};

}  // namespace mmprm
