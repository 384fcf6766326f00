#include "models/position_table.h"

#include <algorithm>
#include <cmath>

namespace mmprm {
namespace {

constexpr double kA = -0.75;

// Keys' cubic kernel at distance x from a sample, for 0 <= x <= 1 and for 1 <= x <= 2.
double near(double x) { return ((kA + 2) * x - (kA + 3)) * x * x + 1; }
double far(double x) { return ((kA * x - 5 * kA) * x + 8 * kA) * x - 4 * kA; }

}  // namespace

PositionResize::PositionResize(int from_side, int to_side) : from_(from_side), to_(to_side) {
  for (int i = 0; i < to_; ++i) {
    // Centres of patches lie at halves.
    const double place = (i + 0.5) * from_ / to_ - 0.5, below = std::floor(place), t = place - below;
    Taps& taps = taps_.emplace_back();
    for (int k = 0; k < 4; ++k) taps.from[k] = std::clamp(int(below) - 1 + k, 0, from_ - 1);
    taps.weight = {float(far(1 + t)), float(near(t)), float(near(1 - t)), float(far(2 - t))};
  }
}

template <typename Visit>
void PositionResize::for_each_tap(Visit visit) const {
  for (int y = 0; y < to_; ++y) {
    for (int x = 0; x < to_; ++x) {
      for (int j = 0; j < 4; ++j) {
        for (int k = 0; k < 4; ++k) {
          visit(size_t(y) * to_ + x, size_t(taps_[y].from[j]) * from_ + taps_[x].from[k],
                taps_[y].weight[j] * taps_[x].weight[k]);
        }
      }
    }
  }
}

void PositionResize::apply(const float* from_table, int C, float* to_table) const {
  std::copy_n(from_table, is_identity() ? num_rows() * C : C, to_table);
  if (is_identity()) return;
  std::fill(to_table + C, to_table + num_rows() * C, 0.0f);
  for_each_tap([&](size_t to_row, size_t from_row, float weight) {
    const float* from = from_table + (1 + from_row) * C;
    float* to = to_table + (1 + to_row) * C;
    for (int c = 0; c < C; ++c) to[c] += weight * from[c];
  });
}

PositionResize::Mix PositionResize::mix() const {
  Mix out;
  for_each_tap([&](size_t, size_t from_row, float weight) {
    out.rows.push_back(int32_t(1 + from_row));
    out.weights.push_back(weight);
  });
  return out;
}

}  // namespace mmprm
