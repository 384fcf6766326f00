// Sums of weights in [0, 1] as whole numbers in units of 2^-44, and their logarithm.
//
// WHY: whole numbers add to the same sum in any order, so a processor and a graphics card, whatever the number of
// lanes, agree on every bit of what follows from a sum. 44 bits leave room for 2^20 weights of 1 and cost the
// total of a vocabulary of 150,000 at most 2^-26.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/host_device.h"

namespace mmprm {

constexpr int kFixedBits = 44;
constexpr int kMaxFixedTerms = (1 << 20) - 1;  // more weights of 1 would overflow

// weight · 2^44, truncated.
MMPRM_HOST_DEVICE constexpr uint64_t to_fixed(float weight) {
  return static_cast<uint64_t>(static_cast<int64_t>(weight * 0x1p44f));  // signed: one instruction
}

MMPRM_HOST_DEVICE constexpr double from_fixed(uint64_t fixed) { return static_cast<double>(fixed) * 0x1p-44; }

// Σ to_fixed(weights[i]).
// TRICK: vector units have no conversion from float to 64-bit integers, but one to 32 bits. 22 bits of each
// weight, then the 22 below them (the rest is exact), are two such numbers; 256 of them add without overflow.
inline uint64_t sum_fixed(const float* weights, size_t count) {
  constexpr size_t kBlock = 256;
  uint64_t sum = 0;
  for (size_t begin = 0; begin < count; begin += kBlock) {
    const size_t end = begin + kBlock < count ? begin + kBlock : count;
    int32_t high = 0, low = 0;
    for (size_t i = begin; i < end; ++i) {
      const float scaled = weights[i] * 0x1p22f;
      const auto whole = static_cast<int32_t>(scaled);
      high += whole;
      low += static_cast<int32_t>((scaled - static_cast<float>(whole)) * 0x1p22f);
    }
    sum += (static_cast<uint64_t>(high) << 22) + static_cast<uint64_t>(low);
  }
  return sum;
}

// A share in [0, 1] that is a whole number of 2^-53, as that number.
constexpr uint64_t share_parts(double share) { return static_cast<uint64_t>(share * 0x1p53); }

// floor(share · total), exactly.
MMPRM_HOST_DEVICE constexpr uint64_t share_of_parts(uint64_t total, uint64_t parts) {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(total) * parts) >> 53);
}
constexpr uint64_t share_of(uint64_t total, double share) {
  return share_of_parts(total, share_parts(share));
}

// Natural logarithm of sum · 2^-44, for sum > 0, within 1e-12.
// WHY not the C library's: its last bit differs between systems and devices. This is IEEE products, sums and
// quotients in one order: log(m) = 2·artanh((m − 1) / (m + 1)) for m in [√½, √2].
MMPRM_HOST_DEVICE constexpr double log_fixed(uint64_t sum) {
  int top = 63;
  while (!(sum >> top)) --top;
  int exponent = top - kFixedBits;
  // Doubles have 53 bits: what lies below is cut here, so that no conversion has to round.
  const uint64_t kept = top > 52 ? sum >> (top - 52) : sum << (52 - top);
  double m = static_cast<double>(kept) * 0x1p-52;  // in [1, 2)
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  const double f = (m - 1) / (m + 1), s = f * f;
  double p = 1.0 / 17;
  for (int term = 15; term >= 1; term -= 2) p = p * s + 1.0 / term;
  return static_cast<double>(exponent) * 0.6931471805599453 + 2 * f * p;
}

}  // namespace mmprm
