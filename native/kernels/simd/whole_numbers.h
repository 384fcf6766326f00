// Names over the vector intrinsics for whole numbers: as wide as Vec, read as lanes of 16 or 32 bits.
#pragma once
#include "kernels/simd/vector.h"

namespace mmprm::MMPRM_ISA {
namespace {

#if defined(MMPRM_ISA_AVX2)

using Words = __m256i;

inline Words load_words(const std::byte* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
// As many bytes as there are lanes of 16 bits, with their sign.
inline Words widen_bytes(const std::byte* p) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline Words larger_32(Words a, Words b) { return _mm256_max_epi32(a, b); }
inline Words subtract_16(Words a, Words b) { return _mm256_sub_epi16(a, b); }
// Number `h` of 4 bits in every lane of 16.
inline Words nibbles(Words words, int h) {
  return _mm256_and_si256(_mm256_srli_epi16(words, 4 * h), _mm256_set1_epi16(15));
}
inline Words lower_half_twice(Words words) {
  const Words lower = _mm256_and_si256(words, _mm256_set1_epi32(0xffff));
  return _mm256_or_si256(lower, _mm256_slli_epi32(lower, 16));
}
inline Words magnitude_bits(Vec v) {
  return _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(0x7fffffff));
}
inline Vec to_float(Words lanes_of_32) { return _mm256_cvtepi32_ps(lanes_of_32); }
// As the nearest whole numbers of 16 bits.
inline void store_whole_16(std::byte* p, Vec v) {
  const __m256i n = _mm256_cvtps_epi32(v);
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(n), _mm256_extracti128_si256(n, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), words);
}

#else

using Words = __m512i;

inline Words load_words(const std::byte* p) { return _mm512_loadu_si512(p); }
inline Words widen_bytes(const std::byte* p) {
  return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline Words larger_32(Words a, Words b) { return _mm512_max_epi32(a, b); }
inline Words subtract_16(Words a, Words b) { return _mm512_sub_epi16(a, b); }
inline Words nibbles(Words words, int h) {
  return _mm512_and_si512(_mm512_srli_epi16(words, 4 * h), _mm512_set1_epi16(15));
}
inline Words lower_half_twice(Words words) {
  const Words lower = _mm512_and_si512(words, _mm512_set1_epi32(0xffff));
  return _mm512_or_si512(lower, _mm512_slli_epi32(lower, 16));
}
inline Words magnitude_bits(Vec v) {
  return _mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(0x7fffffff));
}
inline Vec to_float(Words lanes_of_32) { return _mm512_cvtepi32_ps(lanes_of_32); }
inline void store_whole_16(std::byte* p, Vec v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(v)));
}

#endif

// WHY another type for sums, of lanes of 32 bits: as Words, whose lanes have 64, GCC keeps them in memory.
typedef int32_t Sums __attribute__((vector_size(sizeof(Words))));

// Adds both products of every pair of 16-bit numbers.
inline Sums add_products(Sums sum, Words a, Words b) {
#if defined(MMPRM_ISA_AVX512BF16)
  return Sums(_mm512_dpwssd_epi32(Words(sum), a, b));
#elif defined(MMPRM_ISA_AVX512)
  return sum + Sums(_mm512_madd_epi16(a, b));
#else
  return sum + Sums(_mm256_madd_epi16(a, b));
#endif
}

}  // namespace
}  // namespace mmprm::MMPRM_ISA
