// Names over the vector intrinsics of one instruction set, shared by all wide kernels. V8 is eight floats,
// V16 sixteen; Vec is the wider one there is and kLanes its width. Where the type does not follow from the
// arguments a last one names it; without it, Vec is meant.
//
// INVARIANT: everything that is compiled with wide instructions has internal linkage, and so wide files call
// no inline function of another header: of a weak symbol the linker keeps any one copy, perhaps this one for
// a processor that cannot run it.
#pragma once
#include <immintrin.h>

#include <cstddef>
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
inline V8 max(V8 limit, V8 v) { return _mm256_max_ps(limit, v); }
inline V8 min(V8 limit, V8 v) { return _mm256_min_ps(limit, v); }
inline V8 round_even(V8 v) { return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// 2^n for whole n in [-127, 127]; zero for -127.
inline V8 exp2_of_whole(V8 n) {
  const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}

inline __m256i first_lanes(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
// Of `count` lanes, or all of them where it is larger; the others are zero.
inline V8 load_first(const float* p, int count, V8) {
  return count >= 8 ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, first_lanes(count));
}
inline void store_first(float* p, int count, V8 v) {
  if (count >= 8) return _mm256_storeu_ps(p, v);
  _mm256_maskstore_ps(p, first_lanes(count), v);
}
// Round to nearest even in integers, so that subnormals survive: the bf16
// instructions flush them. NaN stays NaN.
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

inline V8 square_root(V8 v) { return _mm256_sqrt_ps(v); }
inline __m128 sum_to_four(V8 v) { return _mm256_castps256_ps128(v) + _mm256_extractf128_ps(v, 1); }
inline __m128 max_to_four(V8 v) { return _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1)); }

#if defined(MMPRM_ISA_AVX2)

using Vec = V8;

// v · 2^n for whole n; zero where n <= -127.
inline V8 times_exp2(V8 v, V8 n) { return v * exp2_of_whole(max(n, _mm256_set1_ps(-127.0f))); }

#else

using V16 = __m512;
using Vec = V16;

inline V16 load(const float* p, V16) { return _mm512_loadu_ps(p); }
inline void store(float* p, V16 v) { _mm512_storeu_ps(p, v); }
inline V16 splat(float x, V16) { return _mm512_set1_ps(x); }
inline V16 fma(V16 a, V16 b, V16 c) { return _mm512_fmadd_ps(a, b, c); }
inline V16 max(V16 limit, V16 v) { return _mm512_max_ps(limit, v); }
inline V16 min(V16 limit, V16 v) { return _mm512_min_ps(limit, v); }
inline V16 round_even(V16 v) {
  return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline V16 exp2_of_whole(V16 n) {
  const __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23));
}
inline V16 times_exp2(V16 v, V16 n) { return _mm512_scalef_ps(v, n); }

inline __mmask16 mask_of_first(int count) { return __mmask16(count >= 16 ? 0xffff : (1u << count) - 1); }
inline V16 load_first(const float* p, int count, V16) {
  return _mm512_maskz_loadu_ps(mask_of_first(count), p);
}
inline void store_first(float* p, int count, V16 v) { _mm512_mask_storeu_ps(p, mask_of_first(count), v); }
inline __m256i to_bf16(V16 v) {
  const __m512i bits = _mm512_castps_si512(v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __m512i words = _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), quiet);
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(words, 16));
}
inline void store_first_bf16(uint16_t* p, int count, V16 v) {
  _mm256_mask_storeu_epi16(p, mask_of_first(count), to_bf16(v));
}

inline V16 square_root(V16 v) { return _mm512_sqrt_ps(v); }
inline V8 lower_eight(V16 v) { return _mm512_castps512_ps256(v); }
inline V8 upper_eight(V16 v) { return _mm512_extractf32x8_ps(v, 1); }
inline __m128 sum_to_four(V16 v) { return sum_to_four(lower_eight(v) + upper_eight(v)); }
inline __m128 max_to_four(V16 v) { return max_to_four(max(lower_eight(v), upper_eight(v))); }

#endif

constexpr int kLanes = sizeof(Vec) / sizeof(float);

inline Vec load(const float* p) { return load(p, Vec{}); }
inline Vec splat(float x) { return splat(x, Vec{}); }
inline Vec load_first(const float* p, int count) { return load_first(p, count, Vec{}); }

// Lanes folded in halves, always in this order.
inline float sum_of_lanes(Vec v) {
  __m128 x = sum_to_four(v);
  x = x + _mm_movehl_ps(x, x);
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
inline float max_of_lanes(Vec v) {
  __m128 x = max_to_four(v);
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

// 2^x for finite x <= 0, within 2·10^-7 of its value; exactly 1 at 0, exactly 0 from -150 down (AVX2: -127).
// 2^(n+f) = 2^n · (1 + f·q(f)), |f| <= 1/2, q minimax for the relative error.
inline Vec exp2(Vec x) {
  const Vec n = round_even(x);
  const Vec f = x - n;
  Vec p = splat(0x1.5bba14p-10f);
  p = fma(p, f, splat(0x1.3cea88p-7f));
  p = fma(p, f, splat(0x1.c6b752p-5f));
  p = fma(p, f, splat(0x1.ebf9bcp-3f));
  p = fma(p, f, splat(0x1.62e42ap-1f));
  p = fma(p, f, splat(1.0f));
  return times_exp2(p, n);
}

// Walks [0, count) in vectors: body(first element, lanes), the last one perhaps partly used.
template <typename Body>
inline __attribute__((always_inline)) void for_vectors(int count, Body&& body) {
  int i = 0;
  for (; i + kLanes <= count; i += kLanes) body(i, kLanes);
  if (i < count) body(i, count - i);
}

// Stores the first `count` lanes as elements [at, at + count) of an array of F32 or BF16.
inline void store_as(void* data, DType dtype, int64_t at, int count, Vec v) {
  if (dtype == DType::kF32) {
    store_first(static_cast<float*>(data) + at, count, v);
  } else {
    store_first_bf16(static_cast<uint16_t*>(data) + at, count, v);
  }
}

}  // namespace
}  // namespace mmprm::MMPRM_ISA
