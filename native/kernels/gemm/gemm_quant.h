// gemm, quantised weights: panels of groups, and their expansion into the bf16 panel that the micro-kernels
// read.
//
// Panel: [groups] of { [vectors][kLanes] parameters of 4 bytes, [pairs of a group][vectors][kLanes] pairs of
// k }. Parameters: int8 a float scale; int4 scale and zero point as bf16. Pairs: int8 two bytes; int4 one
// byte, where byte j holds values j and j + kLanes of the vector's 2·kLanes values in its low and high half.
// WHY through bf16: the same products for one row and for many, whatever the instruction set.
#pragma once
#include "kernels/gemm/gemm_pack.h"
#include "kernels/gemm/quantize.h"

namespace mmprm::MMPRM_ISA {
namespace {

struct QuantLayout {
  DType dtype;
  int K, group, pairs, groups, pair_bytes;  // pairs: of a group

  QuantLayout(DType dtype, int K)
      : dtype(dtype),
        K(K),
        group(quant_group(dtype)),
        pairs(group / 2),
        groups(group == 0 ? 0 : int(divide_up(K, group))),
        pair_bytes(dtype == DType::kInt8 ? 2 : 1) {}

  int64_t group_bytes(int vectors) const { return int64_t(vectors) * kLanes * (4 + pairs * pair_bytes); }
  int64_t panel_bytes(int vectors) const { return groups * group_bytes(vectors); }
};

inline uint16_t upper_half(float f) {
  uint32_t bits;
  std::memcpy(&bits, &f, 4);
  return uint16_t(bits >> 16);
}

void store_params(std::byte* at, DType dtype, const QuantParams& p) {
  if (dtype == DType::kInt8) {
    std::memcpy(at, &p.scale, 4);
  } else {
    const uint16_t both[2] = {upper_half(p.scale), upper_half(p.zero)};
    std::memcpy(at, both, 4);
  }
}

// Group `g` of one lane: parameters and pairs.
void pack_quant_lane(const QuantLayout& q, const RowRef& row, int g, int vectors, int lane,
                     std::byte* group) {
  float w[kInt8Group] = {};
  const int first = g * q.group, count = q.K - first < q.group ? q.K - first : q.group;
  for (int i = 0; i < count && row.data; ++i) w[i] = value_as_f32(row, first + i);
  const QuantParams p = quant_params(q.dtype, w, count);
  store_params(group + lane * 4, q.dtype, p);
  const int vector = lane / kLanes;
  std::byte* pairs = group + vectors * kLanes * 4 + vector * kLanes * q.pair_bytes;
  for (int s = 0; s < q.pairs; ++s, pairs += vectors * kLanes * q.pair_bytes) {
    for (int half = 0; half < 2; ++half) {
      const int value = quantize(q.dtype, w[2 * s + half], p);
      const int index = lane % kLanes * 2 + half;  // among the vector's 2·kLanes values
      if (q.dtype == DType::kInt8) {
        pairs[index] = std::byte(uint8_t(value));
      } else {
        const std::byte nibble = std::byte(index < kLanes ? value : value << 4);
        pairs[index % kLanes] |= nibble;
      }
    }
  }
}

void pack_quant_panel(const PackArgs& args, const PanelLayout& layout, int64_t panel) {
  const QuantLayout q(args.dtype, args.K);
  const int vectors = layout.vectors(panel);
  std::byte* group = args.packed + layout.offset_bytes(panel);
  for (int g = 0; g < q.groups; ++g, group += q.group_bytes(vectors)) {
    std::memset(group, 0, size_t(q.group_bytes(vectors)));
    for (int lane = 0; lane < vectors * kLanes; ++lane) {
      const int64_t n = panel * kPanelCols + lane;
      pack_quant_lane(q, n < args.N ? args.rows_N[n] : RowRef{nullptr, DType::kF32}, g, vectors, lane, group);
    }
  }
}

#if defined(MMPRM_ISA_AVX2)

inline Vec int8_values(const std::byte* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
inline void int4_values(const std::byte* p, Vec& low, Vec& high) {
  const __m256i bytes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  low = _mm256_cvtepi32_ps(_mm256_and_si256(bytes, _mm256_set1_epi32(15)));
  high = _mm256_cvtepi32_ps(_mm256_srli_epi32(bytes, 4));
}

#else

inline Vec int8_values(const std::byte* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
inline void int4_values(const std::byte* p, Vec& low, Vec& high) {
  const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  low = _mm512_cvtepi32_ps(_mm512_and_si512(bytes, _mm512_set1_epi32(15)));
  high = _mm512_cvtepi32_ps(_mm512_srli_epi32(bytes, 4));
}

#endif

// 2·kLanes values as bf16.
inline void store_bf16_values(Vec low, Vec high, uint16_t* out) {
#if defined(MMPRM_ISA_AVX512BF16)
  const __m512bh packed = _mm512_cvtne2ps_pbh(high, low);
  _mm512_store_si512(out, (__m512i)packed);
#else
  store_first_bf16(out, kLanes, low);
  store_first_bf16(out + kLanes, kLanes, high);
#endif
}

// Scale and zero point of a vector's 2·kLanes values: each lane's twice in a row.
struct ExpandedParams {
  alignas(64) float scale[2 * kLanes], zero[2 * kLanes];
};

void read_params(const std::byte* params, DType dtype, ExpandedParams& out) {
  for (int lane = 0; lane < kLanes; ++lane) {
    uint32_t bits;
    std::memcpy(&bits, params + lane * 4, 4);
    const uint32_t scale_bits = dtype == DType::kInt8 ? bits : bits << 16, zero_bits = bits & 0xffff0000u;
    float scale, zero = 0;
    std::memcpy(&scale, &scale_bits, 4);
    if (dtype == DType::kInt4) std::memcpy(&zero, &zero_bits, 4);
    out.scale[2 * lane] = out.scale[2 * lane + 1] = scale;
    out.zero[2 * lane] = out.zero[2 * lane + 1] = zero;
  }
}

// Groups [first, end) of a panel as bf16: [pairs][vectors][kLanes][2], as gemm_pack.h lays them out.
void expand_groups(const QuantLayout& q, const std::byte* panel, int vectors, int first, int end,
                   std::byte* out) {
  ExpandedParams params;
  for (int g = first; g < end; ++g) {
    const std::byte* group = panel + g * q.group_bytes(vectors);
    for (int v = 0; v < vectors; ++v) {
      read_params(group + v * kLanes * 4, q.dtype, params);
      const Vec scale_low = load(params.scale, Vec{}), scale_high = load(params.scale + kLanes, Vec{});
      const Vec zero_low = load(params.zero, Vec{}), zero_high = load(params.zero + kLanes, Vec{});
      const std::byte* pairs = group + vectors * kLanes * 4 + v * kLanes * q.pair_bytes;
      for (int s = 0; s < q.pairs; ++s, pairs += vectors * kLanes * q.pair_bytes) {
        const int64_t at = (int64_t(g - first) * q.pairs + s) * vectors + v;
        uint16_t* to = reinterpret_cast<uint16_t*>(out + at * kVectorBytes);
        Vec low, high;
        if (q.dtype == DType::kInt8) {
          low = int8_values(pairs);
          high = int8_values(pairs + kLanes);
        } else {
          int4_values(pairs, low, high);
          low = low - zero_low;
          high = high - zero_high;
        }
        store_bf16_values(low * scale_low, high * scale_high, to);
      }
    }
  }
}

}  // namespace
}  // namespace mmprm::MMPRM_ISA
