// gemm, vectors: thin names over the intrinsics of one instruction set. V8 is eight floats; V16, sixteen.
// Vec is the wider one there is and kLanes its width: the column granule of panels.
//
// INVARIANT: everything that is compiled with wide instructions has internal linkage. An inline function with
// a weak symbol could be the copy that the linker keeps for processors without them.
#pragma once
#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "include/engine/types.h"

namespace mmprm::MMPRM_ISA {
namespace {

using V8 = __m256;

inline V8 load(const float* p, V8) { return _mm256_loadu_ps(p); }
inline void store(float* p, V8 v) { _mm256_storeu_ps(p, v); }
inline V8 splat(float x, V8) { return _mm256_set1_ps(x); }
inline V8 fma(V8 a, V8 b, V8 c) { return _mm256_fmadd_ps(a, b, c); }
// Both keep a NaN in `v`.
inline V8 at_least(V8 limit, V8 v) { return _mm256_max_ps(limit, v); }
inline V8 at_most(V8 limit, V8 v) { return _mm256_min_ps(limit, v); }
inline V8 round_even(V8 v) { return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// 2^n for whole n in [-126, 127].
inline V8 exp2_of_whole(V8 n) {
  const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}

inline __m256i first_lanes(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline V8 load_first(const float* p, int count, V8) { return _mm256_maskload_ps(p, first_lanes(count)); }
inline void store_first(float* p, int count, V8 v) { _mm256_maskstore_ps(p, first_lanes(count), v); }

// Round to nearest even; NaN stays NaN.
inline void store_first_bf16(uint16_t* p, int count, V8 v) {
  const __m256i bits = _mm256_castps_si256(v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
  const __m256i words = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
  const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  if (count >= 8) return _mm_storeu_si128(reinterpret_cast<__m128i*>(p), packed);
  uint16_t lanes[8];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(lanes), packed);
  for (int i = 0; i < count; ++i) p[i] = lanes[i];
}

#if defined(MMPRM_ISA_AVX2)

using Vec = V8;

#else

using V16 = __m512;
using Vec = V16;

inline V16 load(const float* p, V16) { return _mm512_loadu_ps(p); }
inline void store(float* p, V16 v) { _mm512_storeu_ps(p, v); }
inline V16 splat(float x, V16) { return _mm512_set1_ps(x); }
inline V16 fma(V16 a, V16 b, V16 c) { return _mm512_fmadd_ps(a, b, c); }
inline V16 at_least(V16 limit, V16 v) { return _mm512_max_ps(limit, v); }
inline V16 at_most(V16 limit, V16 v) { return _mm512_min_ps(limit, v); }
inline V16 round_even(V16 v) {
  return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline V16 exp2_of_whole(V16 n) {
  const __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23));
}

inline __mmask16 mask_of_first(int count) {
  return count >= 16 ? __mmask16(0xffff) : __mmask16((1u << count) - 1);
}
inline V16 load_first(const float* p, int count, V16) {
  return _mm512_maskz_loadu_ps(mask_of_first(count), p);
}
inline void store_first(float* p, int count, V16 v) { _mm512_mask_storeu_ps(p, mask_of_first(count), v); }

inline void store_first_bf16(uint16_t* p, int count, V16 v) {
  const __m512i bits = _mm512_castps_si512(v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __m512i words = _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), quiet);
  _mm256_mask_storeu_epi16(p, mask_of_first(count), _mm512_cvtepi32_epi16(_mm512_srli_epi32(words, 16)));
}

#endif

constexpr int kLanes = sizeof(Vec) / sizeof(float);

// e^x within 1e-7, for x clamped to [-87, 88]: 2^n · e^r, |r| <= ln(2)/2, e^r = 1 + r + r²·p(r), minimax.
template <typename V>
inline V exp(V x) {
  const V zero{};
  x = at_least(splat(-87.0f, zero), at_most(splat(88.0f, zero), x));
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
  const V z = at_least(splat(-5.5f, zero), at_most(splat(5.5f, zero), x));
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

}  // namespace
}  // namespace mmprm::MMPRM_ISA
