// What a tensor core adds: d = c + sum of k products as one fused sum of k + 1 terms. Every term is cut (towards zero)
// to `fraction_bits` below the largest exponent, the cut terms add exactly, the sum is cut to fp32.
// Hopper and Blackwell, bf16: k = 16, 25 bits (wgmma and mma.sync alike); Ampere and Ada: twice k = 8, 24 bits.
// After the published model of Xie et al., arXiv 2511.10909, which its authors compared with hardware bit by bit.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "emulator/options.h"

namespace emu {

struct TensorCore {
  int k, fraction_bits;
};
constexpr TensorCore kAmpereCore{8, 24}, kHopperCore{16, 25};
inline TensorCore tensor_core(Chips chips) { return chips == Chips::kAmpere ? kAmpereCore : kHopperCore; }

// 16 values of one row (or column) of an operand: significands with 7 fraction bits. Split once, used for every
// product with that row.
struct Split16 {
  int32_t significand[16], exponent[16];
  bool finite;
  uint16_t bits[16];

  Split16() = default;
  explicit Split16(const uint16_t (&values)[16]) : finite(true) {
    for (int i = 0; i < 16; ++i) {
      const int h = bits[i] = values[i], e = h >> 7 & 255, m = h & 127, s = e ? m | 128 : m;
      significand[i] = h & 0x8000 ? -s : s;
      exponent[i] = s == 0 ? -1000 : e ? e - 127 : -126;  // a zero never holds the largest exponent
      finite &= e != 255;
    }
  }
};

// Sum of a, b and c where one of them is infinite or NaN: IEEE's, with the one NaN that the hardware knows.
inline float special_sum(const Split16& a, const Split16& b, int first, int k, float c) {
  const auto widen = [](uint16_t h) {
    const uint32_t u = uint32_t(h) << 16;
    float f;
    std::memcpy(&f, &u, 4);
    return f;
  };
  double sum = c;
  for (int i = first; i < first + k; ++i) {
    const double p = double(widen(a.bits[i])) * widen(b.bits[i]);
    if (p - p != 0) sum += p;  // finite products cannot change an infinite sum
  }
  const uint32_t nan = 0x7fffffff, infinite = sum > 0 ? 0x7f800000 : 0xff800000;
  float f;
  std::memcpy(&f, sum != sum ? &nan : &infinite, 4);
  return f;
}

// s · 2^exponent, cut to fp32.
inline float cut_to_float(int64_t s, int exponent) {
  if (s == 0) return 0;
  const uint32_t sign = s < 0 ? 0x80000000u : 0;
  const uint64_t magnitude = uint64_t(s < 0 ? -s : s);
  const int width = 64 - __builtin_clzll(magnitude), top = exponent + width - 1;
  uint32_t bits;
  if (top > 127) {
    bits = 0x7f800000;
  } else if (top >= -126) {
    const uint64_t m = width > 24 ? magnitude >> (width - 24) : magnitude << (24 - width);
    bits = uint32_t(top + 127) << 23 | (uint32_t(m) & 0x7fffff);
  } else {
    const int shift = exponent + 149;  // in units of the smallest subnormal
    bits = uint32_t(shift >= 0 ? magnitude << shift : shift > -64 ? magnitude >> -shift : 0);
  }
  bits |= sign;
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

template <int k, int kFractionBits>
inline float fused_sum(const Split16& a, const Split16& b, int first, float c) {
  uint32_t c_bits;
  std::memcpy(&c_bits, &c, 4);
  const int ce = c_bits >> 23 & 255;
  if (!a.finite || !b.finite || ce == 255) {
    bool special = ce == 255;
    for (int i = first; i < first + k; ++i)
      special |= (a.bits[i] & 0x7f80) == 0x7f80 || (b.bits[i] & 0x7f80) == 0x7f80;
    if (special) return special_sum(a, b, first, k, c);
  }
  const int64_t c_magnitude = ce ? (c_bits & 0x7fffff) | 0x800000 : c_bits & 0x7fffff;
  const int c_exponent = ce && c_magnitude ? ce - 127 : -126;
  int32_t product[k], exponent[k], top = c_exponent;
  for (int i = 0; i < k; ++i) {
    product[i] = a.significand[first + i] * b.significand[first + i];  // 14 fraction bits
    exponent[i] = a.exponent[first + i] + b.exponent[first + i];
    top = std::max(top, exponent[i]);
  }
  int32_t sum = 0;  // k · 255² · 2^11 fits
  for (int i = 0; i < k; ++i) {
    const int32_t sign = product[i] >> 31, magnitude = (product[i] ^ sign) - sign;
    const int32_t cut =
        int32_t(uint32_t(magnitude) << (kFractionBits - 14) >> std::min(31, top - exponent[i]));
    sum += (cut ^ sign) - sign;
  }
  const int64_t c_cut = (c_magnitude << (kFractionBits - 23)) >> std::min(63, top - c_exponent);
  return cut_to_float(int64_t(sum) + (c_bits >> 31 ? -c_cut : c_cut), top - kFractionBits);
}

// c + a · b over 16 products, as these chips do it.
inline float dot16(Chips chips, const Split16& a, const Split16& b, float c) {
  if (chips != Chips::kAmpere) return fused_sum<16, 25>(a, b, 0, c);
  return fused_sum<8, 24>(a, b, 8, fused_sum<8, 24>(a, b, 0, c));
}

}  // namespace emu
