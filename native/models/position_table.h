// The vision tower's table of positions for another number of patches than it was trained with: bicubic as
// torch.nn.functional.interpolate has it (mode "bicubic", align_corners false: a = -0.75, clamped at the
// edges, no smoothing when it shrinks). The row of the class token stays as it is.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace mmprm {

// Resizes tables of 1 + from² rows to 1 + to² rows, row-major over y and x behind the class row.
class PositionResize {
 public:
  PositionResize(int from_side, int to_side);

  bool is_identity() const { return from_ == to_; }
  size_t num_rows() const { return 1 + size_t(to_) * to_; }  // of the new table
  // to_table [1 + to², C] = R · from_table [1 + from², C]
  void apply(const float* from_table, int C, float* to_table) const;

  // R without the class row, for a device: row 1 + i of the new table is the sum over k < kTaps of
  // weights[i, k] · row rows[i, k] of the old one.
  static constexpr int kTaps = 16;
  struct Mix {
    std::vector<int32_t> rows;
    std::vector<float> weights;
  };
  Mix mix() const;

 private:
  // Along one axis a new place is a sum of four old ones.
  struct Taps {
    std::array<int, 4> from;
    std::array<float, 4> weight;
  };

  // Calls visit(to_row, from_row, weight) for the patches' rows, counted without the class row, in one order.
  template <typename Visit>
  void for_each_tap(Visit visit) const;

  int from_, to_;
  std::vector<Taps> taps_;  // of each new place along an axis
};

}  // namespace mmprm
