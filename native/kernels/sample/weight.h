// What a logit weighs, and a token's log-probability: one text for processors and cards, so that their bits are equal.
#pragma once
#include <bit>
#include <cstdint>

#include "base/fixed_point.h"

namespace mmprm {

constexpr float kGreedyBelow = 1e-5f;  // temperatures that differ from greedy in rounding only

MMPRM_HOST_DEVICE inline uint32_t bits_of(float f) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(f);
#else
  return std::bit_cast<uint32_t>(f);
#endif
}
MMPRM_HOST_DEVICE inline float float_of_bits(uint32_t u) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(u);
#else
  return std::bit_cast<float>(u);
#endif
}

// exp(x) for x <= 0 within 2 ulp. WHY not the C library's: its last bit differs between systems, and a draw
// must not; and this form becomes vector code.
MMPRM_HOST_DEVICE inline float exp_nonpositive(float x) {
  constexpr float kLog2e = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  constexpr float kLowest = -87.0f;      // below, results are subnormal: taken as zero
  const float clamped = x < kLowest ? kLowest : x;
  const float shifted = clamped * kLog2e + kRound;
  const float n = shifted - kRound;
  const float r = (clamped - n * kLn2High) - n * kLn2Low;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const uint32_t exponent = (bits_of(shifted) + 127u) << 23;
  return x < kLowest ? 0.0f : p * float_of_bits(exponent);
}

// log(softmax(logits)[token]), given the token's logit, the largest one, and the sum of exp(logit - largest) in fixed
// point.
MMPRM_HOST_DEVICE inline float log_probability(float logit, float largest, uint64_t sum) {
  return float(double(logit) - largest - log_fixed(sum));
}

}  // namespace mmprm
