// Gradients against central differences of L = Σ c·y, in fp32.
//
//   D(h) = (8·(L(x+h) - L(x-h)) - (L(x+2h) - L(x-2h))) / 12h = L'(x) + O(h⁴)
//
// The tolerance of each element is derived, not chosen: every output that moves is rounded once or more (what
// one rounding adds to D is at most ¾·ε·|c·y|/h), and the error of the formula is a fifteenth of D(2h) -
// D(h), of which an eighth is allowed. Inputs lie on a grid on which x ± 4h are exact.
#pragma once
#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "harness.h"

namespace mmprm {

constexpr double kH = 0x1p-6, kGrid = 0x1p-12, kEps = 0x1p-23;
constexpr int kMostElements = 60;  // of one variable that are moved

inline std::vector<float> grid_values(size_t size, uint32_t seed, double deviation = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(0, deviation);
  std::vector<float> values(size);
  for (float& v : values) v = float(std::round(normal(random) / kGrid) * kGrid);
  return values;
}

// What may be moved, and the gradient that is claimed for it, element by element.
struct Variable {
  std::string name;
  std::vector<float*> elements;
  std::vector<double> gradient;
};

struct Objective {
  std::function<std::vector<double>()> outputs;  // of the values as they stand now
  std::vector<double> c;                         // dL/dy
  int roundings = 1;                             // of each output on its way, this included
};

namespace finite_difference {

struct Slope {
  double value, rounding;
};

inline Slope slope(const Objective& objective, float* x, double h) {
  const float at = *x;
  const double weights[4] = {8, -8, -1, 1}, moves[4] = {h, -h, 2 * h, -2 * h};
  std::vector<std::vector<double>> y;
  for (double move : moves) {
    *x = float(at + move);
    y.push_back(objective.outputs());
  }
  *x = at;
  Slope out{0, 0};
  for (size_t i = 0; i < objective.c.size(); ++i) {
    double sum = 0, size = 0;
    for (int k = 0; k < 4; ++k) {
      sum += weights[k] * y[k][i];
      size = std::max(size, std::abs(y[k][i]));
    }
    out.value += objective.c[i] * sum / (12 * h);
    const bool moved = y[0][i] != y[1][i];
    if (moved) out.rounding += 0.75 * kEps * objective.roundings * std::abs(objective.c[i]) * size / h;
  }
  return out;
}

}  // namespace finite_difference

// Throws CheckFailed naming the variable and element; also where the tolerance is too wide to prove anything.
inline void check_gradients(const std::string& op, const Objective& objective,
                            const std::vector<Variable>& variables) {
  for (const Variable& v : variables) {
    CHECK_EQ(v.elements.size(), v.gradient.size());
    double square = 0, widest = 0;
    for (double g : v.gradient) square += g * g;
    const double typical = std::sqrt(square / double(v.gradient.size()));
    const size_t stride = std::max<size_t>(1, v.elements.size() / kMostElements);
    for (size_t i = 0; i < v.elements.size(); i += stride) {
      const auto fine = finite_difference::slope(objective, v.elements[i], kH);
      const auto coarse = finite_difference::slope(objective, v.elements[i], 2 * kH);
      const double rounding = fine.rounding + kEps * std::abs(v.gradient[i]);
      const double tolerance = rounding + std::abs(coarse.value - fine.value) / 8;
      widest = std::max(widest, tolerance);
      if (!(std::abs(fine.value - v.gradient[i]) <= tolerance)) {
        throw CheckFailed(op + ": d/d" + v.name + "[" + std::to_string(i) + "] is " +
                          std::to_string(v.gradient[i]) + ", differences say " + std::to_string(fine.value) +
                          " ± " + std::to_string(tolerance));
      }
    }
    if (!(typical > 0 && widest < 2e-3 * typical)) {
      throw CheckFailed(op + ": d/d" + v.name + ": a tolerance of " + std::to_string(widest) +
                        " proves nothing for gradients of " + std::to_string(typical));
    }
  }
}

}  // namespace mmprm
