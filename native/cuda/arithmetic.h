// Functions of floats that give the same bits on every chip and in the emulator: adds, products, fma, division and square
// root as IEEE says, nothing approximate. Compile with --fmad=false, so that products and adds stay what is written.
// The polynomials are those of kernels/simd/activation.h.
#pragma once
#include "cuda/ptx.h"

namespace mmprm::cuda {

// To the nearest whole number, ties to even, for |x| < 2^22.
__device__ inline float round_even(float x) {
  constexpr float kShift = 12582912.0f;  // 1.5 · 2^23
  return (x + kShift) - kShift;
}

// 2^n for a whole n in [-126, 127].
__device__ inline float exp2_of_whole(float n) { return __uint_as_float(uint32_t(int(n) + 127) << 23); }

// 2^x for x <= 0, exactly 0 below -126, within 1e-7.
__device__ inline float exp2_nonpositive(float x) {
  const float clamped = x < -126.0f ? -126.0f : x, n = round_even(clamped), f = clamped - n;
  float p = 0x1.5bba14p-10f;
  p = __fmaf_rn(p, f, 0x1.3cea88p-7f);
  p = __fmaf_rn(p, f, 0x1.c6b752p-5f);
  p = __fmaf_rn(p, f, 0x1.ebf9bcp-3f);
  p = __fmaf_rn(p, f, 0x1.62e42ap-1f);
  p = __fmaf_rn(p, f, 1.0f);
  return x < -126.0f ? 0.0f : p * exp2_of_whole(n);
}

// e^x within 1e-7, for x clamped to [-87, 88].
__device__ inline float exp_clamped(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  const float n = round_even(x * 1.44269504f);
  float r = __fmaf_rn(n, -0.693359375f, x);  // ln 2 in two parts, the first of few bits
  r = __fmaf_rn(n, 2.12194440e-4f, r);
  float p = 0.00138146128f;
  p = __fmaf_rn(p, r, 0.00836871006f);
  p = __fmaf_rn(p, r, 0.041668389f);
  p = __fmaf_rn(p, r, 0.166665211f);
  p = __fmaf_rn(p, r, 0.49999994f);
  p = __fmaf_rn(r * r, p, r);
  const float scale = exp2_of_whole(n);
  return __fmaf_rn(scale, p, scale);
}

__device__ inline float silu(float x) { return x / (1.0f + exp_clamped(-x)); }

// x/2 · (1 + erf(x/√2)), within 4 eps·|x|: erf as a minimax quotient that reaches 1 at 5.5.
__device__ inline float gelu(float x) {
  float z = x < -5.5f ? -5.5f : x;
  z = z > 5.5f ? 5.5f : z;
  const float s = z * z, half = x * 0.5f;
  float p = 4.58621585e-8f;
  p = __fmaf_rn(p, s, 1.26031555e-5f);
  p = __fmaf_rn(p, s, 3.29147239e-4f);
  p = __fmaf_rn(p, s, 9.30296257e-3f);
  p = __fmaf_rn(p, s, 6.69177845e-2f);
  p = __fmaf_rn(p, s, 0.797884524f);
  float q = 1.19902506e-6f;
  q = __fmaf_rn(q, s, 7.21669348e-5f);
  q = __fmaf_rn(q, s, 1.86064525e-3f);
  q = __fmaf_rn(q, s, 2.8416127e-2f);
  q = __fmaf_rn(q, s, 0.250535399f);
  q = __fmaf_rn(q, s, 1.0f);
  return __fmaf_rn(half, z * p / q, half);
}

}  // namespace mmprm::cuda
