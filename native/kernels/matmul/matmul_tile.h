// matmul, inside: operands packed into panels, and the tile of accumulators that multiplies them. Also what
// the attention of training is made of.
//
// A panel holds `Width` lines (rows of a, columns of b) for one block of K: [step][Width] words of 32 bits. A
// step is one k in F32, a pair of k in bf16.
#pragma once
#include "kernels/matmul/matmul.h"
#include "kernels/simd/vector.h"

namespace mmprm::MMPRM_ISA {
namespace {

#if defined(MMPRM_ISA_AVX2)
constexpr int kRowsOfA = 6;  // 12 of 16 registers accumulate
#else
constexpr int kRowsOfA = 12;  // 24 of 32
#endif
constexpr int kVecsOfB = 2;
constexpr int kColsOfB = kVecsOfB * kLanes;
constexpr int kMaxSteps = 192;    // of a block of K: a panel of b takes 24 KiB and stays in L1
constexpr int kTilesOfBlock = 8;  // panels of a that one block of rows holds, in L2
constexpr int kBlockRows = kTilesOfBlock * kRowsOfA;

// One k a step.
struct StepF32 {
  static constexpr int kPerStep = 1;
  static inline Vec multiply_add(Vec acc, Vec a, Vec b) { return fma(a, b, acc); }
};

#if defined(MMPRM_ISA_AVX512BF16)
// Two k a step, both products added by one instruction.
struct StepBf16 {
  static constexpr int kPerStep = 2;
  static inline Vec multiply_add(Vec acc, Vec a, Vec b) {
    return _mm512_dpbf16_ps(acc, __m512bh(a), __m512bh(b));
  }
};
#else
using StepBf16 = StepF32;
#endif

// Lines of a (rows) or of b (columns); element (line, k) lies at line · line_stride + k · k_stride, and one
// of the two strides is 1.
struct Lines {
  const float* data;
  int64_t line_stride, k_stride;
};

inline Lines rows_of(const MatmulOperand& a) {
  return a.transposed ? Lines{a.data, 1, a.stride} : Lines{a.data, a.stride, 1};
}
inline Lines columns_of(const MatmulOperand& b) {
  return b.transposed ? Lines{b.data, b.stride, 1} : Lines{b.data, 1, b.stride};
}

template <typename Step>
inline int steps_of(int K) {
  return (K + Step::kPerStep - 1) / Step::kPerStep;
}
// Steps in every block of K but perhaps the last: blocks as even as they can be.
template <typename Step>
inline int block_steps(int K) {
  const int steps = steps_of<Step>(K), blocks = (steps + kMaxSteps - 1) / kMaxSteps;
  return blocks == 0 ? 1 : (steps + blocks - 1) / blocks;
}

inline int smaller(int a, int b) { return a < b ? a : b; }

#if !defined(MMPRM_ISA_AVX2)

// Rows become columns, 16 x 16 words.
inline void transpose16(__m512i (&r)[16]) {
  __m512i t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

// 16 words of one line from consecutive k, of which `count` k exist.
template <typename Step>
inline __m512i words_along(const float* p, int count) {
#if defined(MMPRM_ISA_AVX512BF16)
  if constexpr (Step::kPerStep == 2) {
    const Vec low = load_first(p, count);
    const Vec high = count > 16 ? load_first(p + 16, count - 16) : Vec{};
    return __m512i(_mm512_cvtne2ps_pbh(high, low));
  }
#endif
  return _mm512_castps_si512(load_first(p, count));
}

// One step of 16 lines that lie side by side; `next`: the second k of a pair exists.
template <typename Step>
inline __m512i words_across(const float* p, int64_t k_stride, int count, bool next) {
#if defined(MMPRM_ISA_AVX512BF16)
  if constexpr (Step::kPerStep == 2) {
    alignas(64) static constexpr uint16_t kInterleave[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                             21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                             11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const Vec first = load_first(p, count);
    const Vec second = next ? load_first(p + k_stride, count) : Vec{};
    return _mm512_permutexvar_epi16(_mm512_load_si512(kInterleave),
                                    __m512i(_mm512_cvtne2ps_pbh(second, first)));
  }
#endif
  (void)k_stride, (void)next;
  return _mm512_castps_si512(load_first(p, count));
}

// Lines [0, lines) x k [0, depth) -> [step][Width] words; what does not exist is zero. Stores are whole
// vectors, in rising order: the panel must have room for 16 words more.
template <typename Step, int Width>
void pack_panel(const Lines& from, int64_t line, int lines, int64_t k, int depth, float* panel) {
  const int steps = steps_of<Step>(depth);
  const float* data = from.data + line * from.line_stride + k * from.k_stride;
  if (from.line_stride == 1) {
    for (int s = 0; s < steps; ++s) {
      const float* p = data + int64_t(s) * Step::kPerStep * from.k_stride;
      const bool next = s * Step::kPerStep + 1 < depth;
      for (int at = 0; at < Width; at += 16) {
        const int count = lines - at < 0 ? 0 : lines - at;
        _mm512_storeu_si512(panel + s * Width + at, words_across<Step>(p + at, from.k_stride, count, next));
      }
    }
    return;
  }
  for (int s = 0; s < steps; s += 16) {
    const int left = smaller(16, steps - s), first_k = s * Step::kPerStep;
    for (int at = 0; at < Width; at += 16) {
      __m512i words[16];
      for (int i = 0; i < 16; ++i) {
        words[i] = i < Width - at && at + i < lines
                       ? words_along<Step>(data + (at + i) * from.line_stride + first_k, depth - first_k)
                       : _mm512_setzero_si512();
      }
      transpose16(words);
      for (int i = 0; i < left; ++i) {
        if (Width - at >= 16) {
          _mm512_storeu_si512(panel + (s + i) * Width + at, words[i]);
        } else {
          _mm512_mask_storeu_epi32(panel + (s + i) * Width + at, mask_of_first(Width - at), words[i]);
        }
      }
    }
  }
}

#else

template <typename Step, int Width>
void pack_panel(const Lines& from, int64_t line, int lines, int64_t k, int depth, float* panel) {
  const float* data = from.data + line * from.line_stride + k * from.k_stride;
  for (int s = 0; s < depth; ++s) {
    for (int i = 0; i < Width; ++i) {
      panel[s * Width + i] = i < lines ? data[i * from.line_stride + s * from.k_stride] : 0.0f;
    }
  }
}

#endif

// Where a tile begins from and ends in.
struct TileEnds {
  const float* from;  // null: zeros
  int64_t from_stride;
  const float* bias;  // null: none; added to `from`
  float* to;
  int64_t to_stride;
  int rows, cols;
};

template <typename Step>
void multiply_panels(const float* a, const float* b, int steps, const TileEnds& ends) {
  Vec acc[kRowsOfA][kVecsOfB];
#pragma GCC unroll 16
  for (int m = 0; m < kRowsOfA; ++m) {
#pragma GCC unroll 2
    for (int v = 0; v < kVecsOfB; ++v) acc[m][v] = Vec{};
  }
  for (int s = 0; s < steps; ++s) {
    Vec b_v[kVecsOfB];
#pragma GCC unroll 2
    for (int v = 0; v < kVecsOfB; ++v) b_v[v] = load(b + v * kLanes);
#pragma GCC unroll 16
    for (int m = 0; m < kRowsOfA; ++m) {
      const Vec x = splat(a[m]);
#pragma GCC unroll 2
      for (int v = 0; v < kVecsOfB; ++v) acc[m][v] = Step::multiply_add(acc[m][v], x, b_v[v]);
    }
    a += kRowsOfA;
    b += kColsOfB;
  }
#pragma GCC unroll 16
  for (int m = 0; m < kRowsOfA; ++m) {
    if (m < ends.rows) {
#pragma GCC unroll 2
      for (int v = 0; v < kVecsOfB; ++v) {
        const int count = ends.cols - v * kLanes;
        if (count <= 0) continue;
        const int lanes = smaller(count, kLanes);
        Vec sum = acc[m][v];
        if (ends.bias) sum = sum + load_first(ends.bias + v * kLanes, lanes);
        if (ends.from) sum = load_first(ends.from + m * ends.from_stride + v * kLanes, lanes) + sum;
        store_first(ends.to + m * ends.to_stride + v * kLanes, lanes, sum);
      }
    }
  }
}

// Rows [m, m + rows) of the product, rows <= kBlockRows. `packed_b`: every panel of b in the order of
// panel_of(); null: panels are packed here, for products that no other thread shares.
template <typename Step>
void multiply_rows(const MatmulArgs& args, int m, int rows, const float* packed_b) {
  alignas(64) float a_panels[kBlockRows * kMaxSteps + 16];
  alignas(64) float b_panel[kColsOfB * kMaxSteps + 16];
  const Lines a = rows_of(args.a), b = columns_of(args.b);
  const int per_block = block_steps<Step>(args.K), all_steps = steps_of<Step>(args.K);
  const int tiles = (rows + kRowsOfA - 1) / kRowsOfA, panels = (args.N + kColsOfB - 1) / kColsOfB;
  for (int first_step = 0; first_step == 0 || first_step < all_steps; first_step += per_block) {
    const int steps = smaller(per_block, all_steps - first_step), k = first_step * Step::kPerStep;
    const int depth = smaller(steps * Step::kPerStep, args.K - k);
    for (int t = 0; t < tiles; ++t) {
      pack_panel<Step, kRowsOfA>(a, m + t * kRowsOfA, smaller(kRowsOfA, rows - t * kRowsOfA), k, depth,
                                 a_panels + t * kRowsOfA * steps);
    }
    for (int p = 0; p < panels; ++p) {
      const int n = p * kColsOfB, cols = smaller(kColsOfB, args.N - n);
      const float* panel = b_panel;
      if (packed_b) {
        panel = packed_b + (int64_t(first_step) * panels + int64_t(p) * steps) * kColsOfB;
      } else {
        pack_panel<Step, kColsOfB>(b, n, cols, k, depth, b_panel);
      }
      for (int t = 0; t < tiles; ++t) {
        const int64_t row = m + t * kRowsOfA;
        TileEnds ends{args.c + row * args.c_stride + n,
                      args.c_stride,
                      nullptr,
                      args.c + row * args.c_stride + n,
                      args.c_stride,
                      smaller(kRowsOfA, rows - t * kRowsOfA),
                      cols};
        if (first_step == 0) {
          ends.from = args.addend ? args.addend + row * args.addend_stride + n : nullptr;
          ends.from_stride = args.addend_stride;
          ends.bias = args.bias_N ? args.bias_N + n : nullptr;
        }
        multiply_panels<Step>(a_panels + t * kRowsOfA * steps, panel, steps, ends);
      }
    }
  }
}

// A whole product by one thread, for small ones inside other kernels.
template <typename Step>
void multiply_alone(const MatmulArgs& args) {
  for (int m = 0; m < args.M; m += kBlockRows) {
    multiply_rows<Step>(args, m, smaller(kBlockRows, args.M - m), nullptr);
  }
}

}  // namespace
}  // namespace mmprm::MMPRM_ISA
