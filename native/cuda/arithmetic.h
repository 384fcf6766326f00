// Functions of floats that give the same bits on every chip and in the emulator: adds, products, fma, division and square
// root as IEEE says, nothing approximate. Compile with --fmad=false, so that products and adds stay what is written.
// The polynomials are those of kernels/simd/activation.h.
#pragma once
#include "cuda/ptx.h"

namespace mmprm::cuda {

// The whole number nearest to x, ties to even, for |x| < 2^22, and 2 to its power, where that is a normal number; at -127
// it is zero.
struct Whole {
  static constexpr float kShift = 12582912.0f;  // 1.5 · 2^23: the sum's last bits are the whole number
  float shifted;

  __device__ explicit Whole(float x) : shifted(x + kShift) {}
  __device__ float value() const { return shifted - kShift; }
  __device__ float exp2() const { return __uint_as_float((__float_as_uint(shifted) + 127u) << 23); }
};

// a / b within 1.5 u, for b in [1, 2^120]. WHY not the operator: its rare cases cost every call a branch.
__device__ inline float divide_by_positive(float a, float b) {
  float r = __uint_as_float(0x7ef311c7u - __float_as_uint(b));  // 1 / b within 12 %
#pragma unroll
  for (int i = 0; i < 3; ++i) r = __fmaf_rn(__fmaf_rn(-b, r, 1.0f), r, r);
  const float q = a * r;
  return __fmaf_rn(__fmaf_rn(-b, q, a), r, q);
}

// 2^x for x <= 0, exactly 0 below -126, within 1e-7.
__device__ inline float exp2_nonpositive(float x) {
  const float clamped = x < -126.0f ? -127.0f : x;  // whose power, as Whole builds it, is zero
  const Whole n(clamped);
  const float f = clamped - n.value();
  float p = 0x1.5bba14p-10f;
  p = __fmaf_rn(p, f, 0x1.3cea88p-7f);
  p = __fmaf_rn(p, f, 0x1.c6b752p-5f);
  p = __fmaf_rn(p, f, 0x1.ebf9bcp-3f);
  p = __fmaf_rn(p, f, 0x1.62e42ap-1f);
  p = __fmaf_rn(p, f, 1.0f);
  return p * n.exp2();
}

// e^x within 1e-7, for x clamped to [-80, 80].
__device__ inline float exp_clamped(float x) {
  x = x < -80.0f ? -80.0f : x;
  x = x > 80.0f ? 80.0f : x;
  const Whole n(x * 1.44269504f);
  float r = __fmaf_rn(n.value(), -0.693359375f, x);  // ln 2 in two parts, the first of few bits
  r = __fmaf_rn(n.value(), 2.12194440e-4f, r);
  float p = 0.00138146128f;
  p = __fmaf_rn(p, r, 0.00836871006f);
  p = __fmaf_rn(p, r, 0.041668389f);
  p = __fmaf_rn(p, r, 0.166665211f);
  p = __fmaf_rn(p, r, 0.49999994f);
  p = __fmaf_rn(r * r, p, r);
  const float scale = n.exp2();
  return __fmaf_rn(scale, p, scale);
}

__device__ inline float silu(float x) { return divide_by_positive(x, 1.0f + exp_clamped(-x)); }

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
  return __fmaf_rn(half, divide_by_positive(z * p, q), half);
}

// x / (1 + e^-2u), u = √(2/π)·(x + 0.044715·x³).
__device__ inline float gelu_tanh(float x) {
  const float twice = x * __fmaf_rn(x * x, 0.0713548163f, 1.59576912f);
  return divide_by_positive(x, 1.0f + exp_clamped(-twice));
}

}  // namespace mmprm::cuda
