// gemm, activations for quantised weights: 16-bit whole numbers, in units of one size for each group of k.
//
// A unit is a power of two, 2^-14 of that below the group's largest number: bf16 numbers down to 1/128 of the
// largest are exact, all others off by 2^-15 of the largest at most (int8 weights: 2^-8 of theirs). The sum
// of a group is then exact in 32 bits, in any order.
//
// Row: [groups · group] int16, [groups] f32 units, up to whole cache lines. The unit of a group that is not
// finite is NaN.
#pragma once
#include "kernels/gemm/gemm_quant.h"
#include "kernels/simd/whole_numbers.h"

namespace mmprm::MMPRM_ISA {
namespace {

struct PreparedLayout {
  QuantLayout quant;
  int64_t units_at, stride_bytes;

  explicit PreparedLayout(const PackedMatrix& w)
      : quant(w.dtype, w.K),
        units_at(int64_t(quant.groups) * quant.group * 2),
        stride_bytes(divide_up(units_at + int64_t(quant.groups) * 4, 64) * 64) {
    if (stride_bytes % 4096 == 0) stride_bytes += 64;  // see activation_stride()
  }
};

// Elements [at, at + count) of a row of activations; lanes from `count` up are zero.
inline Vec load_activations(const std::byte* row, [[maybe_unused]] DType dtype, int at, int count) {
#if defined(MMPRM_ISA_AVX512BF16)
  if (dtype == DType::kBF16) {
    const __mmask16 lanes = mask_of_first(count);
    const __m512i words = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, row + 2 * int64_t(at)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
  }
#endif
  return load_first(reinterpret_cast<const float*>(row) + at, count);
}

inline float float_of_bits(uint32_t bits) {
  float f;
  std::memcpy(&f, &bits, sizeof f);
  return f;
}

// What a unit of the group is worth, and its inverse.
struct UnitOf16Bits {
  float value, inverse;

  explicit UnitOf16Bits(Words magnitudes) {
    uint32_t lanes[kLanes], most = 0;
    std::memcpy(lanes, &magnitudes, sizeof lanes);
    for (int i = 0; i < kLanes; ++i) most = lanes[i] > most ? lanes[i] : most;
    constexpr uint32_t kNotFinite = 255, kBits = 14, kBias = 127;
    uint32_t exponent = most >> 23;
    if (exponent == kNotFinite) {
      value = float_of_bits(0x7fc00000);
      inverse = 0;
      return;
    }
    if (exponent <= kBits) exponent = kBits + 1;  // below 2^-112: the unit stays a normal number
    value = float_of_bits((exponent - kBits) << 23);
    inverse = float_of_bits((2 * kBias + kBits - exponent) << 23);
  }
};

// Row `row` of a as `prepared` holds it. Elements from K up are zeros.
void prepare_row(const GemmArgs& args, const PreparedLayout& layout, const std::byte* row,
                 std::byte* prepared) {
  const QuantLayout& q = layout.quant;
  for (int g = 0; g < q.groups; ++g) {
    Vec a[kInt8Group / kLanes];
    Words most{};
    const int vectors = q.group / kLanes;
    for (int i = 0; i < vectors; ++i) {
      const int at = g * q.group + i * kLanes, left = q.K - at;
      a[i] = left <= 0 ? Vec{} : load_activations(row, args.a_dtype, at, left < kLanes ? left : kLanes);
      most = larger_32(most, magnitude_bits(a[i]));
    }
    const UnitOf16Bits unit(most);
    std::byte* numbers = prepared + 2 * int64_t(g) * q.group;
    for (int i = 0; i < vectors; ++i) store_whole_16(numbers + 2 * i * kLanes, a[i] * splat(unit.inverse));
    std::memcpy(prepared + layout.units_at + 4 * int64_t(g), &unit.value, 4);
  }
}

}  // namespace
}  // namespace mmprm::MMPRM_ISA
