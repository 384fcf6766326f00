// A picture as a grid of patches, and the orders that its patches come in. Pure numbers.
//
// Patches are numbered by merge blocks of merge × merge neighbours, block by block along the rows of blocks; inside a
// block row by row.
#pragma once
#include <cstdint>
#include <vector>

namespace mmprm {

struct PatchGrid {
  int rows = 0, columns = 0;  // of patches, multiples of merge
  int merge = 1;

  int patches() const { return rows * columns; }
  int blocks() const { return patches() / (merge * merge); }
  // Of patch p.
  struct Place {
    int row, column;
  };
  Place place(int patch) const;
};

// Patches window by window, and how many each window has: `side` merge blocks a side, less at the picture's
// edges; 0: one window of all.
struct WindowOrder {
  std::vector<int32_t> patches;  // in the order of the windows
  std::vector<int> sizes;        // of the windows, in patches
};
WindowOrder window_order(const PatchGrid& grid, int side);

// One patch's position in a learned table of side² rows, read between its rows: a sum of four of them.
struct PositionMix {
  int32_t rows[4] = {0, 0, 0, 0};
  float weights[4] = {0, 0, 0, 0};
};
// Of every patch; the picture's corners are the table's.
std::vector<PositionMix> position_mixes(int side, const PatchGrid& grid);

// [patches, C] in the order of the patches.
std::vector<float> interpolate_positions(const std::vector<float>& table, int side, int C,
                                         const PatchGrid& grid);

// cos and sin of every patch's angles, [patches][D]: of D/2 frequencies the first half turns by the row, the
// other by the column.
std::vector<float> axial_angles(const PatchGrid& grid, int head_dim_D, double theta);

}  // namespace mmprm
