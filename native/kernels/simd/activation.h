// Exponential and activation functions of vectors, of any width.
#pragma once
#include "kernels/simd/vector.h"

namespace mmprm::MMPRM_ISA {
namespace {

// e^x within 1e-7, for x clamped to [-87, 88]: 2^n · e^r, |r| <= ln(2)/2, e^r = 1 + r + r²·p(r), minimax.
template <typename V>
inline V exp(V x) {
  const V zero{};
  x = max(splat(-87.0f, zero), min(splat(88.0f, zero), x));
  const V n = round_even(x * splat(1.44269504f, zero));
  V r = fma(n, splat(-0.693359375f, zero), x);  // ln 2 in two parts, the first of few bits
  r = fma(n, splat(2.12194440e-4f, zero), r);
  V p = splat(0.00138146128f, zero);
  p = fma(p, r, splat(0.00836871006f, zero));
  p = fma(p, r, splat(0.041668389f, zero));
  p = fma(p, r, splat(0.166665211f, zero));
  p = fma(p, r, splat(0.49999994f, zero));
  p = fma(r * r, p, r);
  const V scale = exp2_of_whole(n);
  return fma(scale, p, scale);
}

template <typename V>
inline V silu(V x) {
  return x / (splat(1.0f, x) + exp(V{} - x));
}

// erf(x/√2) = x·p(x²)/q(x²): a minimax quotient on |x| <= 5.5, where it reaches 1.
template <typename V>
inline V erf_over_sqrt2(V x) {
  const V zero{};
  const V z = max(splat(-5.5f, zero), min(splat(5.5f, zero), x));
  const V s = z * z;
  V p = splat(4.58621585e-8f, zero);
  p = fma(p, s, splat(1.26031555e-5f, zero));
  p = fma(p, s, splat(3.29147239e-4f, zero));
  p = fma(p, s, splat(9.30296257e-3f, zero));
  p = fma(p, s, splat(6.69177845e-2f, zero));
  p = fma(p, s, splat(0.797884524f, zero));
  V q = splat(1.19902506e-6f, zero);
  q = fma(q, s, splat(7.21669348e-5f, zero));
  q = fma(q, s, splat(1.86064525e-3f, zero));
  q = fma(q, s, splat(2.8416127e-2f, zero));
  q = fma(q, s, splat(0.250535399f, zero));
  q = fma(q, s, splat(1.0f, zero));
  return z * p / q;
}

// x/2 · (1 + erf(x/√2)), within 4 eps·|x|.
template <typename V>
inline V gelu(V x) {
  const V half = x * splat(0.5f, V{});
  return fma(half, erf_over_sqrt2(x), half);
}

// x/2 · (1 + tanh(u)) = x / (1 + e^-2u), u = √(2/π)·(x + 0.044715·x³); within 6 eps·|x|.
template <typename V>
inline V gelu_tanh(V x) {
  const V zero{};
  const V twice = x * fma(x * x, splat(0.0713548163f, zero), splat(1.59576912f, zero));
  return x / (splat(1.0f, zero) + exp(zero - twice));
}

}  // namespace
}  // namespace mmprm::MMPRM_ISA
