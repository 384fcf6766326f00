// gemm, micro-kernels of quantised weights: tile += scale · Σ a·q, one sum for each group of k.
//
// Whole numbers q of 8 bits are exact in bf16, so a group multiplies like a bf16 panel whose scale comes
// afterwards, once: the same sums in the same order whether the numbers stay in registers (few rows: memory
// is the limit) or are written to a block that all rows use.
#pragma once
#include "kernels/gemm/gemm_quant.h"

namespace mmprm::MMPRM_ISA {
namespace {

#if defined(MMPRM_ISA_AVX512BF16)

// The lower and the upper bytes of 0 … 127 as bf16.
struct ByteTables {
  alignas(64) uint8_t lower[128], upper[128];
  constexpr ByteTables() : lower{}, upper{} {
    for (int i = 1; i < 128; ++i) {
      int exponent = 0;
      while (i >> (exponent + 1)) ++exponent;
      const int bits = (127 + exponent) << 7 | ((i << 7 >> exponent) & 127);
      lower[i] = uint8_t(bits & 255);
      upper[i] = uint8_t(bits >> 8);
    }
  }
};
constexpr ByteTables kBytesOf;

// -15 … 16 as bf16.
struct WordTable {
  alignas(64) uint16_t of[32];
  constexpr WordTable() : of{} {
    for (int i = 0; i < 32; ++i) {
      const int magnitude = i < 15 ? 15 - i : i - 15;
      const int sign = i < 15 ? 0x8000 : 0;
      of[i] = uint16_t(sign | kBytesOf.upper[magnitude] << 8 | kBytesOf.lower[magnitude]);
    }
  }
};
constexpr WordTable kWordsOf;

// Steps of one vector of columns as pairs of bf16, from one chunk.
template <DType dtype>
struct Numbers;

template <>
struct Numbers<DType::kInt8> {
  static constexpr int kSteps = 2;
  inline void use_params(const std::byte*) {}
  inline __attribute__((always_inline)) void read(const std::byte* chunk, __m512i (&pairs)[kSteps]) const {
    const __m512i q = _mm512_loadu_si512(chunk);
    const __m512i lower = _mm512_permutex2var_epi8(_mm512_load_si512(kBytesOf.lower), q,
                                                   _mm512_load_si512(kBytesOf.lower + 64));
    const __m512i magnitude = _mm512_permutex2var_epi8(_mm512_load_si512(kBytesOf.upper), q,
                                                       _mm512_load_si512(kBytesOf.upper + 64));
    constexpr int kFirstOrBothOthers = 0xf8;
    const __m512i upper =
        _mm512_ternarylogic_epi32(magnitude, q, _mm512_set1_epi8(char(0x80)), kFirstOrBothOthers);
    pairs[0] = _mm512_unpacklo_epi8(lower, upper);
    pairs[1] = _mm512_unpackhi_epi8(lower, upper);
  }
};

template <>
struct Numbers<DType::kInt4> {
  static constexpr int kSteps = 4;
  __m512i offset;  // 15 - zero, for each element
  inline void use_params(const std::byte* params) {
    const __m512i lower = _mm512_and_si512(_mm512_loadu_si512(params), _mm512_set1_epi32(0xffff));
    offset = _mm512_or_si512(lower, _mm512_slli_epi32(lower, 16));
  }
  inline __attribute__((always_inline)) void read(const std::byte* chunk, __m512i (&pairs)[kSteps]) const {
    const __m512i q = _mm512_loadu_si512(chunk), table = _mm512_load_si512(kWordsOf.of);
#pragma GCC unroll 4
    for (int h = 0; h < kSteps; ++h) {
      const __m512i nibble = _mm512_and_si512(_mm512_srli_epi16(q, 4 * h), _mm512_set1_epi16(15));
      pairs[h] = _mm512_permutexvar_epi16(_mm512_add_epi16(nibble, offset), table);
    }
  }
};

// Rows so few that accumulators, tables and a chunk's numbers share the registers.
constexpr int kMaxRowsInRegisters = 4;
constexpr int kGroupBytesAhead = 6144;  // asked for while a chunk multiplies

// Whole groups of one panel.
template <DType dtype, int MR, int NV>
void multiply_groups(const std::byte* group, const std::byte* a, int64_t a_stride_bytes, int groups,
                     float* tile) {
  constexpr int kSteps = Numbers<dtype>::kSteps, kChunks = quant_group(dtype) / 2 / kSteps;
  for (int g = 0; g < groups; ++g) {
    const std::byte* params = group;
    Numbers<dtype> numbers[NV];
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) numbers[v].use_params(params + v * kVectorBytes);
    Vec acc[MR][NV] = {};
    for (int c = 0; c < kChunks; ++c, a += kSteps * MultiplyBf16::kActivationBytes) {
      group += NV * kVectorBytes;
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) {
        _mm_prefetch(group + v * kVectorBytes + kGroupBytesAhead, _MM_HINT_T0);
        __m512i pairs[kSteps];
        numbers[v].read(group + v * kVectorBytes, pairs);
#pragma GCC unroll 8
        for (int h = 0; h < kSteps; ++h) {
#pragma GCC unroll 8
          for (int m = 0; m < MR; ++m) {
            const __m512bh x = __m512bh(splat(load_float(a + m * a_stride_bytes + 4 * h), Vec{}));
            acc[m][v] = _mm512_dpbf16_ps(acc[m][v], x, __m512bh(pairs[h]));
          }
        }
      }
    }
    group += NV * kVectorBytes;
    add_scaled<MR, NV>(acc, dtype, params, tile);
  }
}

#define MMPRM_GROUPS_OF_ROWS(MR) \
  { multiply_groups<dtype, MR, 1>, multiply_groups<dtype, MR, 2>, multiply_groups<dtype, MR, 3> }
// By rows - 1 and vectors - 1.
template <DType dtype>
constexpr decltype(&multiply_groups<dtype, 1, 1>) kMultiplyGroups[kMaxRowsInRegisters][kMaxVectors] = {
    MMPRM_GROUPS_OF_ROWS(1), MMPRM_GROUPS_OF_ROWS(2), MMPRM_GROUPS_OF_ROWS(3), MMPRM_GROUPS_OF_ROWS(4)};
#undef MMPRM_GROUPS_OF_ROWS

template <DType dtype>
inline void write_chunk(const Numbers<dtype>& numbers, const std::byte* chunk, int64_t step_bytes,
                        std::byte* out) {
  __m512i pairs[Numbers<dtype>::kSteps];
  numbers.read(chunk, pairs);
#pragma GCC unroll 4
  for (int h = 0; h < Numbers<dtype>::kSteps; ++h) _mm512_store_si512(out + h * step_bytes, pairs[h]);
}

#else

// Eight whole numbers as bf16: exact, so the upper halves of their floats.
inline void store_whole(__m256i numbers, std::byte* out) {
  const __m256i bits = _mm256_srli_epi32(_mm256_castps_si256(_mm256_cvtepi32_ps(numbers)), 16);
  const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), packed);
}

inline __m128i load_128(const std::byte* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }

template <DType dtype>
struct Numbers;

template <>
struct Numbers<DType::kInt8> {
  static constexpr int kSteps = 2;
  inline void use_params(const std::byte*) {}
};
template <>
struct Numbers<DType::kInt4> {
  static constexpr int kSteps = 4;
  int16_t zero[2 * kLanes];
  inline void use_params(const std::byte* params) {
    for (int e = 0; e < 2 * kLanes; ++e) {
      uint16_t offset;
      std::memcpy(&offset, params + e / 2 * 4, 2);
      zero[e] = int16_t(15 - offset);
    }
  }
};

inline void write_chunk(const Numbers<DType::kInt8>&, const std::byte* chunk, int64_t step_bytes,
                        std::byte* out) {
  for (int e = 0; e < 2 * kLanes; e += 8) {
    const __m128i both = load_128(chunk + 2 * e);
    for (int h = 0; h < 2; ++h) {
      const __m256i bits = _mm256_cvtepu8_epi32(h == 0 ? both : _mm_srli_si128(both, 8));
      const __m256i magnitude = _mm256_and_si256(bits, _mm256_set1_epi32(127));
      const __m256i sign =
          _mm256_sub_epi32(_mm256_set1_epi32(1), _mm256_srli_epi32(bits, 6) & _mm256_set1_epi32(2));
      store_whole(_mm256_sign_epi32(magnitude, sign), out + h * step_bytes + 2 * e);
    }
  }
}

inline void write_chunk(const Numbers<DType::kInt4>& numbers, const std::byte* chunk, int64_t step_bytes,
                        std::byte* out) {
  for (int e = 0; e < 2 * kLanes; e += 8) {
    __m256i words = _mm256_cvtepu16_epi32(load_128(chunk + 2 * e));
    const __m256i zero =
        _mm256_cvtepi16_epi32(load_128(reinterpret_cast<const std::byte*>(numbers.zero + e)));
    for (int h = 0; h < 4; ++h, words = _mm256_srli_epi32(words, 4)) {
      const __m256i q = _mm256_and_si256(words, _mm256_set1_epi32(15));
      store_whole(_mm256_sub_epi32(q, zero), out + h * step_bytes + 2 * e);
    }
  }
}

#endif

// Groups [first, end) of a panel as bf16 numbers without their scale: [pairs][vectors][kLanes][2], as
// gemm_pack.h lays them out.
template <DType dtype>
void write_groups(const QuantLayout& q, const std::byte* panel, int vectors, int first, int end,
                  std::byte* out) {
  const int64_t step_bytes = int64_t(vectors) * kVectorBytes;
  for (int g = first; g < end; ++g, out += q.pairs * step_bytes) {
    const std::byte* group = panel + g * q.group_bytes(vectors);
    for (int v = 0; v < vectors; ++v) {
      Numbers<dtype> numbers;
      numbers.use_params(group + v * kVectorBytes);
      const std::byte* chunk = group + step_bytes + v * kVectorBytes;
      for (int s = 0; s < q.pairs; s += q.chunk_steps, chunk += step_bytes) {
        write_chunk(numbers, chunk, step_bytes, out + s * step_bytes + v * kVectorBytes);
      }
    }
  }
}

}  // namespace
}  // namespace mmprm::MMPRM_ISA
