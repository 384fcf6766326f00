#include <immintrin.h>

#include "kernels/roof/roof.h"

namespace mmprm::MMPRM_ISA {
namespace {

constexpr int kChains = RoofLoops::kChains;

#if defined(MMPRM_ISA_AVX2)
using Vec = __m256;
using Ints = __m256i;
inline Vec splat(float x) { return _mm256_set1_ps(x); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
inline Ints load(const std::byte* p) { return _mm256_load_si256(reinterpret_cast<const Ints*>(p)); }
inline Ints mix(Ints a, Ints b) { return _mm256_xor_si256(a, b); }
#else
using Vec = __m512;
using Ints = __m512i;
inline Vec splat(float x) { return _mm512_set1_ps(x); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline Ints load(const std::byte* p) { return _mm512_load_si512(p); }
inline Ints mix(Ints a, Ints b) { return _mm512_xor_si512(a, b); }
#endif
constexpr int kLanes = sizeof(Vec) / sizeof(float);

// Accumulators start near 1, factors keep them there.
template <typename Step>
inline float run_chains(int64_t rounds, Step step) {
  Vec acc[kChains];
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) acc[i] = splat(1.0f + float(i));
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) acc[i] = step(acc[i]);
  }
  Vec sum = acc[0];
#pragma GCC unroll 12
  for (int i = 1; i < kChains; ++i) sum = sum + acc[i];
  return sum[0] + sum[kLanes - 1];
}

float f32_fma(int64_t rounds) {
  const Vec x = splat(1.0f), y = splat(1e-6f);
  return run_chains(rounds, [&](Vec acc) { return fma(x, y, acc); });
}

#if defined(MMPRM_ISA_AVX512BF16)
float bf16_dot(int64_t rounds) {
  const __m512bh x = __m512bh(_mm512_set1_epi32(0x3f803f80)), y = __m512bh(_mm512_set1_epi32(0x35803580));
  return run_chains(rounds, [&](Vec acc) { return _mm512_dpbf16_ps(acc, x, y); });
}
constexpr auto kBf16Dot = bf16_dot;
#else
constexpr float (*kBf16Dot)(int64_t) = nullptr;
#endif

int64_t read(const std::byte* data, size_t bytes) {
  constexpr size_t kBlock = 256, kVectors = kBlock / sizeof(Ints);
  Ints seen[kVectors] = {};
  for (size_t at = 0; at + kBlock <= bytes; at += kBlock) {
#pragma GCC unroll 8
    for (size_t i = 0; i < kVectors; ++i) seen[i] = mix(seen[i], load(data + at + i * sizeof(Ints)));
  }
  Ints all = seen[0];
  for (size_t i = 1; i < kVectors; ++i) all = mix(all, seen[i]);
  return all[0] ^ all[1] ^ all[2] ^ all[3];
}

}  // namespace

extern const RoofLoops roof;
const RoofLoops roof = {kLanes, f32_fma, kBf16Dot, read};

}  // namespace mmprm::MMPRM_ISA
