// gemm, quantised weights: layout of their panels, and packing.
//
// Panel: [groups] of { [vectors][kLanes] parameters of 4 bytes, [chunks][vectors][chunk bytes] }. A chunk
// holds one pair of k for each lane (int8) or four (int4), whose elements are e = 2·lane + half.
//
// int8: element e is byte e. Parameter: the scale, a float.
//
// int4: element e of pair h is nibble h of 16-bit word e. Parameter: the zero point in the lower half, the
// scale, a bf16 number, in the upper.
#pragma once
#include "kernels/gemm/gemm_pack.h"
#include "kernels/gemm/quantize.h"

namespace mmprm::MMPRM_ISA {
namespace {

struct QuantLayout {
  DType dtype;
  int K, group, groups;

  QuantLayout(DType dtype, int K)
      : dtype(dtype), K(K), group(quant_group(dtype)), groups(group == 0 ? 0 : int(divide_up(K, group))) {}
};

uint32_t param_bits(DType dtype, const QuantParams& p) {
  uint32_t bits;
  std::memcpy(&bits, &p.scale, 4);
  return dtype == DType::kInt8 ? bits : bits | uint32_t(p.zero);
}

// Element `e` of pair `h` of a chunk of zeros.
void store_element(DType dtype, int value, int h, int e, std::byte* chunk) {
  if (dtype == DType::kInt8) {
    chunk[e] = std::byte(value);
  } else {
    chunk[2 * e + h / 2] |= std::byte(value << h % 2 * 4);
  }
}

// Group `g` of one lane: its parameter and elements.
void pack_quant_lane(const QuantLayout& q, const RowRef& row, int g, int vectors, int lane,
                     std::byte* group) {
  float w[kInt8Group] = {};
  const int first = g * q.group, count = q.K - first < q.group ? q.K - first : q.group;
  for (int i = 0; i < count && row.data; ++i) w[i] = value_as_f32(row, first + i);
  const QuantParams p = quant_params(q.dtype, w, count);
  const uint32_t bits = param_bits(q.dtype, p);
  std::memcpy(group + lane * 4, &bits, 4);
  const int chunk_pairs = quant_chunk_pairs(q.dtype), chunk_bytes = quant_chunk_bytes(q.dtype);
  std::byte* chunks = group + vectors * kVectorBytes + lane / kLanes * chunk_bytes;
  for (int i = 0; i < q.group; ++i) {
    const int pair = i / 2, e = lane % kLanes * 2 + i % 2;
    std::byte* chunk = chunks + pair / chunk_pairs * vectors * chunk_bytes;
    store_element(q.dtype, quantize(q.dtype, w[i], p), pair % chunk_pairs, e, chunk);
  }
}

void pack_quant_panel(const PackArgs& args, const PanelLayout& layout, int64_t panel) {
  const QuantLayout q(args.dtype, args.K);
  const int vectors = layout.vectors(panel);
  const int64_t group_bytes = int64_t(vectors) * quant_group_bytes(args.dtype);
  std::byte* group = args.packed + layout.offset_bytes(panel);
  for (int g = 0; g < q.groups; ++g, group += group_bytes) {
    std::memset(group, 0, size_t(group_bytes));
    for (int lane = 0; lane < vectors * kLanes; ++lane) {
      const int64_t n = panel * kPanelCols + lane;
      pack_quant_lane(q, n < args.N ? args.rows_N[n] : RowRef{nullptr, DType::kF32}, g, vectors, lane, group);
    }
  }
}

}  // namespace
}  // namespace mmprm::MMPRM_ISA
