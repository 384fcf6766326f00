#include "models/patch_grid.h"

#include <algorithm>
#include <cmath>

namespace mmprm {
namespace {

// Between two rows of a table along one axis.
struct Between {
  int low, high;
  float share;  // of the higher one
};

std::vector<Between> spread(int places, int side) {
  std::vector<Between> all;
  for (int i = 0; i < places; ++i) {
    const float at = places > 1 ? float(double(i) * (side - 1) / (places - 1)) : 0;
    const int low = std::min(int(at), side - 1);
    all.push_back({low, std::min(low + 1, side - 1), at - float(low)});
  }
  return all;
}

}  // namespace

PatchGrid::Place PatchGrid::place(int patch) const {
  const int area = merge * merge, block = patch / area, inside = patch % area, across = columns / merge;
  return {block / across * merge + inside / merge, block % across * merge + inside % merge};
}

WindowOrder window_order(const PatchGrid& grid, int side) {
  const int down = grid.rows / grid.merge, across = grid.columns / grid.merge;
  const int area = grid.merge * grid.merge;
  if (side == 0) side = std::max(down, across);
  WindowOrder order;
  for (int top = 0; top < down; top += side) {
    for (int left = 0; left < across; left += side) {
      const int bottom = std::min(top + side, down), right = std::min(left + side, across);
      order.sizes.push_back((bottom - top) * (right - left) * area);
      for (int r = top; r < bottom; ++r) {
        for (int p = (r * across + left) * area; p < (r * across + right) * area; ++p)
          order.patches.push_back(p);
      }
    }
  }
  return order;
}

std::vector<PositionMix> position_mixes(int side, const PatchGrid& grid) {
  const std::vector<Between> down = spread(grid.rows, side), across = spread(grid.columns, side);
  std::vector<PositionMix> mixes;
  for (int p = 0; p < grid.patches(); ++p) {
    const PatchGrid::Place at = grid.place(p);
    const Between &r = down[at.row], &c = across[at.column];
    mixes.push_back(
        {{r.low * side + c.low, r.low * side + c.high, r.high * side + c.low, r.high * side + c.high},
         {(1 - r.share) * (1 - c.share), (1 - r.share) * c.share, r.share * (1 - c.share),
          r.share * c.share}});
  }
  return mixes;
}

std::vector<float> interpolate_positions(const std::vector<float>& table, int side, int C,
                                         const PatchGrid& grid) {
  std::vector<float> out(size_t(grid.patches()) * C);
  float* to = out.data();
  for (const PositionMix& mix : position_mixes(side, grid)) {
    for (int i = 0; i < 4; ++i) {
      const float* from = &table[size_t(mix.rows[i]) * C];
      for (int k = 0; k < C; ++k) to[k] += mix.weights[i] * from[k];
    }
    to += C;
  }
  return out;
}

std::vector<float> axial_angles(const PatchGrid& grid, int head_dim_D, double theta) {
  const int half = head_dim_D / 2, quarter = half / 2;
  std::vector<float> frequencies;
  for (int i = 0; i < quarter; ++i) frequencies.push_back(float(1.0 / std::pow(theta, 2.0 * i / half)));
  std::vector<float> out(size_t(grid.patches()) * head_dim_D);
  for (int p = 0; p < grid.patches(); ++p) {
    const PatchGrid::Place at = grid.place(p);
    float* row = &out[size_t(p) * head_dim_D];
    for (int i = 0; i < half; ++i) {
      const float angle = float(i < quarter ? at.row : at.column) * frequencies[i % quarter];
      row[i] = float(std::cos(double(angle)));
      row[half + i] = float(std::sin(double(angle)));
    }
  }
  return out;
}

}  // namespace mmprm
