// gemm, cases: what y must be, and how far off it may be. Every partial sum of a_m · w_n is at most
// ‖a_m‖·‖w_n‖, its rounding at most u = 2^-24 of that, and K such roundings of random sign add up like √K;
// the epilogue adds its Lipschitz constant, its own error (4 u) and the rounding of y. With quantised
// weights, rows are rounded to 16 bits before.
#pragma once
#include <cmath>
#include <numbers>

#include "kernels/gemm/gated_rows.h"
#include "kernels/gemm/gemm_case_data.h"

namespace mmprm::gemm_case {

constexpr double kRounding = 0x1p-24;

// A value with a bound of its error.
struct Bounded {
  double value, error;
};

// Rounding a row to 16 bits in units of each group's own size: errors of any size up to half a unit, so of
// variance 1/12, which add up like their root. Six deviations.
inline double error_of_16_bits(const Problem& p, int m, int n) {
  const int group = quant_group(p.shape.weights);
  double variance = 0;
  for (int first = 0; first < p.shape.K; first += group) {
    double largest = 0, w_squares = 0;
    for (int k = first; k < std::min(first + group, p.shape.K); ++k) {
      largest = std::max(largest, std::fabs(p.activation(m, k)));
      w_squares += p.weight(n, k) * p.weight(n, k);
    }
    const double unit = largest > 0 ? std::ldexp(1, std::max(std::ilogb(largest), -112) - 14) : 0;
    variance += unit * unit / 12 * w_squares;
  }
  return 6 * std::sqrt(variance);
}

// (a_m · w_n + bias) · scale in double.
inline Bounded plain_column(const Problem& p, int m, int n) {
  double sum = 0, a_squares = 0, w_squares = 0;
  for (int k = 0; k < p.shape.K; ++k) {
    const double a = p.activation(m, k), w = p.weight(n, k);
    sum += a * w;
    a_squares += a * a;
    w_squares += w * w;
  }
  double error = (std::sqrt(double(p.shape.K)) + 4) * kRounding * std::sqrt(a_squares * w_squares);
  if (p.prepared.size_bytes() > 0) error += error_of_16_bits(p, m, n);
  if (p.shape.bias) {
    sum += load_as_f32(p.bias.data(), DType::kF32, n);
    error += kRounding * std::fabs(sum);
  }
  if (p.shape.column_scale) {
    const double scale = load_as_f32(p.column_scale.data(), DType::kF32, n);
    return {sum * scale, std::fabs(scale) * error + kRounding * std::fabs(sum * scale)};
  }
  return {sum, error};
}

inline Bounded plain_result(const Problem& p, int m, int j) {
  const double function_error = 4 * kRounding;
  Bounded y{};
  if (p.shape.epilogue == Epilogue::kSwiglu) {
    const int n = j / kGatedGroup * 2 * kGatedGroup + j % kGatedGroup;
    const Bounded gate = plain_column(p, m, n), up = plain_column(p, m, n + kGatedGroup);
    const double silu = gate.value / (1 + std::exp(-gate.value));
    const double silu_error = 1.1 * gate.error + function_error * std::fabs(gate.value);
    y = {silu * up.value, silu_error * std::fabs(up.value) + std::fabs(silu) * up.error};
  } else {
    const Bounded v = plain_column(p, m, j);
    y = v;
    if (p.shape.epilogue == Epilogue::kAccumulate) {
      y.value += load_as_f32(p.y_before.data(), p.shape.y_dtype, m * p.y_stride + j);
    }
    if (p.shape.epilogue == Epilogue::kRelu) y.value = std::max(v.value, 0.0);
    if (p.shape.epilogue == Epilogue::kGeluTanh) {
      y = {0.5 * v.value *
               (1 + std::tanh(std::sqrt(2 / std::numbers::pi) *
                              (v.value + 0.044715 * v.value * v.value * v.value))),
           1.13 * v.error + 6 * kRounding * std::fabs(v.value)};
    }
    if (p.shape.epilogue == Epilogue::kGelu) {
      y = {0.5 * v.value * (1 + std::erf(v.value / std::sqrt(2.0))),
           1.13 * v.error + function_error * std::fabs(v.value)};
    }
  }
  const double y_rounding = p.shape.y_dtype == DType::kBF16 ? 0x1p-8 : 2 * kRounding;
  return {y.value, y.error + y_rounding * std::fabs(y.value)};
}

}  // namespace mmprm::gemm_case
