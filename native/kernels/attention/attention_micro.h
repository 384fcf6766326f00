// attention, micro-kernels: scores and weighted values of up to kBlockRows rows, accumulators in registers.
//
// Both walk in steps of four bytes per row: one float, or a pair of bf16 that one instruction multiplies and
// adds. A step meets 64 bytes of a page's keys, or D · 4 bytes of its values, so one form serves both dtypes.
// Every accumulator takes its steps in order and alone: rows, pages and columns may be grouped at will.
#pragma once
#include "kernels/attention/attention.h"
#include "kernels/simd/vector.h"

namespace mmprm::MMPRM_ISA {
namespace {

constexpr int kBlockRows = 6;
constexpr int kStepBytes = 4;
constexpr int kPageVectors = kPageTokens / kLanes;
constexpr int kVectorBytes = kLanes * int(sizeof(float));
#if defined(MMPRM_ISA_AVX2)
constexpr int kMaxPages = 1, kMaxVectors = 2;  // 12 of 16 registers accumulate
#else
constexpr int kMaxPages = 4, kMaxVectors = 4;  // 24 of 32
#endif

inline Vec load_bytes(const std::byte* p) { return load(reinterpret_cast<const float*>(p)); }

inline Vec splat_step(const std::byte* p) {
  float step;
  std::memcpy(&step, p, sizeof step);
  return splat(step);
}

struct DotF32 {
  static constexpr DType kDType = DType::kF32;
  static constexpr int kElementsPerStep = 1;
  static Vec multiply_add(Vec a, Vec b, Vec sum) { return fma(a, b, sum); }
  static void store_weights(float* row, int first, Vec weights) { store(row + first, weights); }
};

#if defined(MMPRM_ISA_AVX512BF16)

struct DotBf16 {
  static constexpr DType kDType = DType::kBF16;
  static constexpr int kElementsPerStep = 2;
  static Vec multiply_add(Vec a, Vec b, Vec sum) { return _mm512_dpbf16_ps(sum, __m512bh(a), __m512bh(b)); }
  static void store_weights(float* row, int first, Vec weights) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(row) + first / kLanes,
                       __m256i(_mm512_cvtneps_pbh(weights)));
  }
};

#endif

// scores[m · kChunkTokens + key] = q_m · k_key for NP pages; a row of q has `steps` steps.
template <typename Dot, int MR, int NP>
void score_tile(const std::byte* const* q, const std::byte* const* pages, int steps, float* scores) {
  Vec sums[MR][NP * kPageVectors] = {};
  for (int s = 0; s < steps; ++s) {
    Vec keys[NP * kPageVectors];
#pragma GCC unroll 8
    for (int v = 0; v < NP * kPageVectors; ++v) {
      keys[v] = load_bytes(pages[v / kPageVectors] + s * kPageTokens * kStepBytes +
                           v % kPageVectors * kVectorBytes);
    }
#pragma GCC unroll 8
    for (int m = 0; m < MR; ++m) {
      const Vec x = splat_step(q[m] + s * kStepBytes);
#pragma GCC unroll 8
      for (int v = 0; v < NP * kPageVectors; ++v) sums[m][v] = Dot::multiply_add(x, keys[v], sums[m][v]);
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < MR; ++m) {
#pragma GCC unroll 8
    for (int v = 0; v < NP * kPageVectors; ++v) store(scores + m * kChunkTokens + v * kLanes, sums[m][v]);
  }
}

// How the values of a chunk join what a row gathered from the chunks before: o = o · old + values · fresh.
struct MergeFactors {
  float old, fresh;
};

struct ValueArgs {
  const std::byte* const* pages = nullptr;  // value halves
  int first_page = 0, num_pages = 0;        // [first_page, num_pages) weigh something
  int64_t step_bytes = 0;                   // D · 4: from one step of a page to the next
  const float* weights = nullptr;           // rows kChunkTokens floats apart
  float* const* o = nullptr;                // per row
  const MergeFactors* merge = nullptr;      // null in the rows' first chunk: o is overwritten
};

// NV vectors of columns from `column` on, of which the last has `last_lanes` lanes.
template <typename Dot, int MR, int NV>
void value_tile(const ValueArgs& args, int column, int last_lanes) {
  constexpr int kSteps = kPageTokens / Dot::kElementsPerStep;
  Vec sums[MR][NV] = {};
  const std::byte* weights =
      reinterpret_cast<const std::byte*>(args.weights) + args.first_page * kSteps * kStepBytes;
  for (int p = args.first_page; p < args.num_pages; ++p) {
    const std::byte* page = args.pages[p] + column * kStepBytes;
    for (int s = 0; s < kSteps; ++s) {
      Vec values[NV];
#pragma GCC unroll 8
      for (int v = 0; v < NV - 1; ++v) values[v] = load_bytes(page + v * kVectorBytes);
      values[NV - 1] = load_first(reinterpret_cast<const float*>(page + (NV - 1) * kVectorBytes), last_lanes);
#pragma GCC unroll 8
      for (int m = 0; m < MR; ++m) {
        const Vec x = splat_step(weights + m * kChunkTokens * sizeof(float));
#pragma GCC unroll 8
        for (int v = 0; v < NV; ++v) sums[m][v] = Dot::multiply_add(x, values[v], sums[m][v]);
      }
      page += args.step_bytes;
      weights += kStepBytes;
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < MR; ++m) {
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) {
      float* o = args.o[m] + column + v * kLanes;
      const Vec fresh = sums[m][v];
      store(o,
            args.merge ? fma(fresh, splat(args.merge[m].fresh), load(o) * splat(args.merge[m].old)) : fresh);
    }
  }
}

template <typename Dot>
using ScoreTile = decltype(&score_tile<Dot, 1, 1>);
template <typename Dot>
using ValueTile = decltype(&value_tile<Dot, 1, 1>);

#define MMPRM_ALL_ROWS(COLUMN) \
  { COLUMN(1), COLUMN(2), COLUMN(3), COLUMN(4), COLUMN(5), COLUMN(6) }
#if defined(MMPRM_ISA_AVX2)
#define MMPRM_SCORES(MR) \
  { score_tile<Dot, MR, 1> }
#define MMPRM_VALUES(MR) \
  { value_tile<Dot, MR, 1>, value_tile<Dot, MR, 2> }
#else
#define MMPRM_SCORES(MR) \
  { score_tile<Dot, MR, 1>, score_tile<Dot, MR, 2>, score_tile<Dot, MR, 3>, score_tile<Dot, MR, 4> }
#define MMPRM_VALUES(MR) \
  { value_tile<Dot, MR, 1>, value_tile<Dot, MR, 2>, value_tile<Dot, MR, 3>, value_tile<Dot, MR, 4> }
#endif

// By rows - 1 and pages - 1, or vectors - 1.
template <typename Dot>
constexpr ScoreTile<Dot> kScoreTile[kBlockRows][kMaxPages] = MMPRM_ALL_ROWS(MMPRM_SCORES);
template <typename Dot>
constexpr ValueTile<Dot> kValueTile[kBlockRows][kMaxVectors] = MMPRM_ALL_ROWS(MMPRM_VALUES);

#undef MMPRM_SCORES
#undef MMPRM_VALUES
#undef MMPRM_ALL_ROWS

}  // namespace
}  // namespace mmprm::MMPRM_ISA
