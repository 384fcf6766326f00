// gemm, micro-kernels of quantised weights: tile += scale · unit · Σ a·q, one sum of whole numbers for each
// group of k. The sums are exact, so no order of them changes a bit, on any instruction set.
#pragma once
#include "kernels/gemm/gemm_quant_rows.h"

namespace mmprm::MMPRM_ISA {
namespace {

// The numbers of one vector of columns and one group, pair by pair, as a packed panel holds them.
template <DType dtype>
struct Packed;

template <>
struct Packed<DType::kInt8> {
  static constexpr int kGroup = kInt8Group, kChunkPairs = quant_chunk_pairs(DType::kInt8);
  static constexpr int kChunkBytes = quant_chunk_bytes(DType::kInt8);
  static constexpr int kBytesAhead = quant_group_bytes(DType::kInt8) / quant_group_chunks(DType::kInt8);
  inline void use_params(const std::byte*) {}
  inline Words pair(const std::byte* chunk, int) const { return widen_bytes(chunk); }
  static inline Vec scale(Vec params) { return params; }
};

template <>
struct Packed<DType::kInt4> {
  static constexpr int kGroup = kInt4Group, kChunkPairs = quant_chunk_pairs(DType::kInt4);
  static constexpr int kChunkBytes = quant_chunk_bytes(DType::kInt4);
  static constexpr int kBytesAhead = quant_group_bytes(DType::kInt4) / quant_group_chunks(DType::kInt4);
  Words zero;  // twice in each lane
  inline void use_params(const std::byte* params) { zero = lower_half_twice(load_words(params)); }
  inline Words pair(const std::byte* chunk, int h) const {
    return subtract_16(nibbles(load_words(chunk), h), zero);
  }
  static inline Vec scale(Vec params) { return upper_halves(params); }
};

// MEASURED: where a product takes two instructions, unpacking int4 costs as much, and a block of 16-bit
// numbers that all groups of rows share takes 1.2 of the f32 peak instead of 0.8. With one instruction, and
// at int8, the block is slower by 1–10 %.
#if defined(MMPRM_ISA_AVX512BF16)
template <DType dtype>
constexpr bool kWidensForMoreRows = false;
#else
template <DType dtype>
constexpr bool kWidensForMoreRows = dtype == DType::kInt4;
#endif

constexpr int64_t kWidenedBlockBytes = 13056;  // four groups of int4

// The same numbers in such a block.
template <DType dtype>
struct Widened {
  static constexpr int kGroup = Packed<dtype>::kGroup, kChunkPairs = 1;
  static constexpr int kChunkBytes = kVectorBytes, kBytesAhead = 64 / kMaxVectors;
  inline void use_params(const std::byte*) {}
  inline Words pair(const std::byte* chunk, int) const { return load_words(chunk); }
  static inline Vec scale(Vec params) { return Packed<dtype>::scale(params); }
};

template <typename Numbers>
constexpr int64_t group_bytes(int vectors) {
  return int64_t(vectors) *
         (kVectorBytes + Numbers::kGroup / 2 / Numbers::kChunkPairs * Numbers::kChunkBytes);
}

template <DType dtype>
void widen_groups(const std::byte* group, int groups, int vectors, std::byte* widened) {
  using Numbers = Packed<dtype>;
  constexpr int kPairs = Numbers::kGroup / 2;
  const int64_t params_bytes = int64_t(vectors) * kVectorBytes, pair_bytes = params_bytes;
  for (int g = 0; g < groups; ++g) {
    std::memcpy(widened, group, size_t(params_bytes));
    for (int v = 0; v < vectors; ++v) {
      Numbers numbers;
      numbers.use_params(group + v * kVectorBytes);
      const std::byte* chunk = group + params_bytes + v * Numbers::kChunkBytes;
      std::byte* to = widened + params_bytes + v * kVectorBytes;
      for (int p = 0; p < kPairs; p += Numbers::kChunkPairs, chunk += vectors * Numbers::kChunkBytes) {
        for (int h = 0; h < Numbers::kChunkPairs; ++h, to += pair_bytes) {
          const Words words = numbers.pair(chunk, h);
          std::memcpy(to, &words, sizeof words);
        }
      }
    }
    group += group_bytes<Numbers>(vectors);
    widened += group_bytes<Widened<dtype>>(vectors);
  }
}

// What one call multiplies: whole groups of one panel. `ahead` is asked for while it runs, `ahead_bytes` of
// it per chunk.
struct QuantTileArgs {
  const std::byte *w, *a;
  const float* units;
  int64_t a_stride_bytes;
  int groups;
  float* tile;
  const std::byte* ahead;
  int64_t ahead_bytes;
};

template <typename Numbers, int MR, int NV>
inline __attribute__((always_inline)) void add_chunk(Sums (&acc)[MR][NV], const Numbers (&numbers)[NV],
                                                     const std::byte* chunk, const std::byte* a,
                                                     int64_t a_stride_bytes) {
  for (int h = 0; h < Numbers::kChunkPairs; ++h, a += 4) {
    Words q[NV];
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) q[v] = numbers[v].pair(chunk + v * Numbers::kChunkBytes, h);
#pragma GCC unroll 8
    for (int m = 0; m < MR; ++m) {
      const Words pair = Words(splat(load_float(a + m * a_stride_bytes)));
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) acc[m][v] = add_products(acc[m][v], pair, q[v]);
    }
  }
}

template <typename Numbers, int MR, int NV>
void multiply_groups(const QuantTileArgs& t) {
  constexpr int kChunks = Numbers::kGroup / 2 / Numbers::kChunkPairs;
  const std::byte *w = t.w, *a = t.a, *ahead = t.ahead;
  for (int g = 0; g < t.groups; ++g) {
    const std::byte* params = w;
    w += NV * kVectorBytes;
    Numbers numbers[NV];
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) numbers[v].use_params(params + v * kVectorBytes);
    Sums acc[MR][NV] = {};
    for (int c = 0; c < kChunks; ++c, w += NV * Numbers::kChunkBytes, a += 4 * Numbers::kChunkPairs) {
#pragma GCC unroll 8
      for (int line = 0; line < NV * Numbers::kBytesAhead; line += 64)
        _mm_prefetch(ahead + line, _MM_HINT_T0);
      ahead += t.ahead_bytes;
      add_chunk(acc, numbers, w, a, t.a_stride_bytes);
    }
    // WHY: without it the compiler keeps the tile in registers that the sums need.
    asm volatile("" ::: "memory");
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) {
      const Vec scale = Numbers::scale(load_vector(params + v * kVectorBytes));
#pragma GCC unroll 8
      for (int m = 0; m < MR; ++m) {
        const Vec unit = splat(t.units[m * t.a_stride_bytes / 4 + g]);
        float* sum = t.tile + m * kPanelCols + v * kLanes;
        store(sum, fma(to_float(Words(acc[m][v])), scale * unit, load(sum)));
      }
    }
  }
}

#define MMPRM_GROUPS_OF_ROWS(MR) \
  { multiply_groups<Numbers, MR, 1>, multiply_groups<Numbers, MR, 2>, MMPRM_WIDEST_GROUPS(MR) }
#if defined(MMPRM_ISA_AVX2)
#define MMPRM_WIDEST_GROUPS(MR)
#else
#define MMPRM_WIDEST_GROUPS(MR) multiply_groups<Numbers, MR, 3>
#endif

// By rows - 1 and vectors - 1.
template <typename Numbers>
constexpr decltype(&multiply_groups<Numbers, 1, 1>) kMultiplyGroups[kMaxRows][kMaxVectors] = {
    MMPRM_GROUPS_OF_ROWS(1), MMPRM_GROUPS_OF_ROWS(2), MMPRM_GROUPS_OF_ROWS(3),
    MMPRM_GROUPS_OF_ROWS(4), MMPRM_GROUPS_OF_ROWS(5), MMPRM_GROUPS_OF_ROWS(6),
#if !defined(MMPRM_ISA_AVX2)
    MMPRM_GROUPS_OF_ROWS(7), MMPRM_GROUPS_OF_ROWS(8),
#endif
};
#undef MMPRM_GROUPS_OF_ROWS
#undef MMPRM_WIDEST_GROUPS

}  // namespace
}  // namespace mmprm::MMPRM_ISA
