// gemm, micro-kernels: tile += a · w for MR rows and NV vectors of columns, all accumulators in registers.
//
// One step is one k (f32 weights) or a pair of k (bf16 weights); a packed panel holds NV vectors per step.
// The tile carries the accumulators between calls, so k may be cut anywhere without changing a bit.
#pragma once
#include "kernels/simd/vector.h"

namespace mmprm::MMPRM_ISA {
namespace {

#if defined(MMPRM_ISA_AVX2)
constexpr int kMaxRows = 6, kMaxVectors = 2;  // 12 of 16 registers accumulate
#else
constexpr int kMaxRows = 8, kMaxVectors = 3;  // 24 of 32
#endif
constexpr int kPanelCols = kMaxVectors * kLanes;  // also the distance between rows of a tile

constexpr int kVectorBytes = kLanes * sizeof(float);

inline float load_float(const std::byte* p) {
  float f;
  std::memcpy(&f, p, sizeof f);
  return f;
}

inline Vec load_vector(const std::byte* p) { return load(reinterpret_cast<const float*>(p), Vec{}); }

// The upper half of every pair of bf16, exactly.
#if defined(MMPRM_ISA_AVX2)
inline Vec upper_halves(Vec pairs) {
  return _mm256_and_ps(pairs, _mm256_castsi256_ps(_mm256_set1_epi32(int(0xffff0000))));
}
#else
inline Vec upper_halves(Vec pairs) {
  return _mm512_and_ps(pairs, _mm512_castsi512_ps(_mm512_set1_epi32(int(0xffff0000))));
}
#endif

// f32 weights, f32 activations.
struct MultiplyF32 {
  static constexpr DType kWeights = DType::kF32;
  static constexpr int kPerStep = 1;          // values of k
  static constexpr int kActivationBytes = 4;  // of one row in one step

  template <int MR, int NV>
  static inline __attribute__((always_inline)) void step(Vec (&acc)[MR][NV], const std::byte* w,
                                                         const std::byte* a, int64_t a_stride) {
    Vec w_v[NV];
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) w_v[v] = load_vector(w + v * kVectorBytes);
#pragma GCC unroll 8
    for (int m = 0; m < MR; ++m) {
      const Vec x = splat(load_float(a + m * a_stride), Vec{});
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) acc[m][v] = fma(x, w_v[v], acc[m][v]);
    }
  }
};

#if defined(MMPRM_ISA_AVX512BF16)

// bf16 weights, bf16 activations: one instruction adds both products of a pair.
struct MultiplyBf16 {
  static constexpr DType kWeights = DType::kBF16;
  static constexpr int kPerStep = 2;
  static constexpr int kActivationBytes = 4;

  template <int MR, int NV>
  static inline __attribute__((always_inline)) void step(Vec (&acc)[MR][NV], const std::byte* w,
                                                         const std::byte* a, int64_t a_stride) {
    __m512bh w_v[NV];
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) w_v[v] = __m512bh(load_vector(w + v * kVectorBytes));
#pragma GCC unroll 8
    for (int m = 0; m < MR; ++m) {
      const __m512bh x = __m512bh(splat(load_float(a + m * a_stride), Vec{}));
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) acc[m][v] = _mm512_dpbf16_ps(acc[m][v], x, w_v[v]);
    }
  }
};

#else

// The lower half of every pair, exactly.
#if defined(MMPRM_ISA_AVX2)
inline Vec lower_halves(Vec pairs) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(pairs), 16));
}
#else
inline Vec lower_halves(Vec pairs) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(pairs), 16));
}
#endif

// bf16 weights, f32 activations: exact products, first the lower k, then the upper.
struct MultiplyBf16 {
  static constexpr DType kWeights = DType::kBF16;
  static constexpr int kPerStep = 2;
  static constexpr int kActivationBytes = 8;

  template <int MR, int NV>
  static inline __attribute__((always_inline)) void step(Vec (&acc)[MR][NV], const std::byte* w,
                                                         const std::byte* a, int64_t a_stride) {
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      Vec w_v[NV];
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) {
        const Vec pairs = load_vector(w + v * kVectorBytes);
        w_v[v] = half == 0 ? lower_halves(pairs) : upper_halves(pairs);
      }
#pragma GCC unroll 8
      for (int m = 0; m < MR; ++m) {
        const Vec x = splat(load_float(a + m * a_stride + 4 * half), Vec{});
#pragma GCC unroll 8
        for (int v = 0; v < NV; ++v) acc[m][v] = fma(x, w_v[v], acc[m][v]);
      }
    }
  }
};

#if defined(MMPRM_ISA_AVX2)
// A block of a bf16 panel as a block of an f32 panel, two steps from each; MultiplyF32 on it does the same
// sums in the same order as MultiplyBf16.
inline void widen_block(const std::byte* w, int steps, int vectors, float* widened) {
  for (int s = 0; s < steps; ++s, widened += 2 * vectors * kLanes) {
    for (int v = 0; v < vectors; ++v, w += kVectorBytes) {
      const Vec pairs = load_vector(w);
      store(widened + v * kLanes, lower_halves(pairs));
      store(widened + (vectors + v) * kLanes, upper_halves(pairs));
    }
  }
}
#endif

#endif

// What one call multiplies. `ahead` is asked for while it runs, `ahead_bytes` of it
// per step: see multiply_panel().
struct TileArgs {
  const std::byte *w, *a;
  int64_t a_stride_bytes;
  int steps;
  float* tile;
  const std::byte* ahead;
  int64_t ahead_bytes;
};

template <typename Multiply, int MR, int NV>
void multiply_tile(const TileArgs& t) {
  Vec acc[MR][NV];
#pragma GCC unroll 8
  for (int m = 0; m < MR; ++m) {
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) acc[m][v] = load(t.tile + m * kPanelCols + v * kLanes, Vec{});
  }
  const std::byte *w = t.w, *a = t.a, *ahead = t.ahead;
  for (int s = 0; s < t.steps; ++s) {
    for (int64_t line = 0; line < t.ahead_bytes; line += 64) _mm_prefetch(ahead + line, _MM_HINT_T0);
    ahead += t.ahead_bytes;
    Multiply::template step<MR, NV>(acc, w, a, t.a_stride_bytes);
    w += NV * kVectorBytes;
    a += Multiply::kActivationBytes;
  }
#pragma GCC unroll 8
  for (int m = 0; m < MR; ++m) {
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) store(t.tile + m * kPanelCols + v * kLanes, acc[m][v]);
  }
}

using MultiplyTile = decltype(&multiply_tile<MultiplyF32, 1, 1>);

#define MMPRM_TILES_OF_ROWS(MR) \
  { multiply_tile<Multiply, MR, 1>, multiply_tile<Multiply, MR, 2>, MMPRM_WIDEST_TILE(MR) }
#if defined(MMPRM_ISA_AVX2)
#define MMPRM_WIDEST_TILE(MR)
#else
#define MMPRM_WIDEST_TILE(MR) multiply_tile<Multiply, MR, 3>
#endif

// By rows - 1 and vectors - 1.
template <typename Multiply>
constexpr MultiplyTile kMultiplyTile[kMaxRows][kMaxVectors] = {
    MMPRM_TILES_OF_ROWS(1), MMPRM_TILES_OF_ROWS(2), MMPRM_TILES_OF_ROWS(3),
    MMPRM_TILES_OF_ROWS(4), MMPRM_TILES_OF_ROWS(5), MMPRM_TILES_OF_ROWS(6),
#if !defined(MMPRM_ISA_AVX2)
    MMPRM_TILES_OF_ROWS(7), MMPRM_TILES_OF_ROWS(8),
#endif
};
#undef MMPRM_TILES_OF_ROWS
#undef MMPRM_WIDEST_TILE

}  // namespace
}  // namespace mmprm::MMPRM_ISA
