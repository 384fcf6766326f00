// Weight-only quantisation of one group of a row: int8 in groups of 64, symmetric; int4 in groups of 32 with
// a zero point. The whole numbers q (or q - zero) multiply, and the sum of a group is scaled: the same on
// every instruction set. Error of W, relative by norm, on Gaussian weights: int8 0.6 %, int4 8 %
// (gemm_cases.cc measures it).
//
// INVARIANT: internal linkage only, since wide translation units include this too.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "include/engine/types.h"

namespace mmprm {
namespace {

constexpr int kInt8Group = 64, kInt4Group = 32;

inline constexpr int quant_group(DType dtype) {
  return dtype == DType::kInt8 ? kInt8Group : dtype == DType::kInt4 ? kInt4Group : 0;
}

struct QuantParams {
  float scale = 0;  // int4: a bf16 number
  float zero = 0;   // int4: a whole number from 0 to 15
};

// The smallest bf16 number that is not below `x` (positive).
inline float bf16_not_below(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  bits = (bits + 0xffffu) & 0xffff0000u;
  std::memcpy(&x, &bits, 4);
  return x;
}

inline QuantParams quant_params(DType dtype, const float* w, int count) {
  float low = 0, high = 0;
  bool finite = true;
  for (int i = 0; i < count; ++i) {
    low = w[i] < low ? w[i] : low;
    high = w[i] > high ? w[i] : high;
    finite &= std::isfinite(w[i]);
  }
  // A weight that is no number stays one: whole numbers would hide it.
  if (!finite) return {NAN, 0};
  if (dtype == DType::kInt8) {
    const float most = high > -low ? high : -low;
    return {most / 127.0f, 0};
  }
  const float scale = bf16_not_below((high - low) / 15.0f);
  return {scale, scale > 0 ? std::nearbyint(-low / scale) : 0.0f};
}

// int8: -127 to 127; int4: 0 to 15.
inline int quantize(DType dtype, float w, const QuantParams& p) {
  if (!(p.scale > 0)) return 0;
  const float q = std::nearbyint(w / p.scale) + p.zero;
  const float low = dtype == DType::kInt8 ? -127.0f : 0.0f, high = dtype == DType::kInt8 ? 127.0f : 15.0f;
  return int(q < low ? low : q > high ? high : q);
}

inline float dequantize(int q, const QuantParams& p) { return (float(q) - p.zero) * p.scale; }

}  // namespace
}  // namespace mmprm
