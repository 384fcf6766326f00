// gemm, packing: rows of a checkpoint's matrix into panels, in the order in which the
// micro-kernels read. Panel: [steps][vectors][kLanes] f32, or [steps][vectors][kLanes][2] bf16;
// zeros fill up rows and the last pair.
#pragma once
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/gemm_micro.h"
#include "kernels/gemm/quantize.h"

namespace mmprm::MMPRM_ISA {
namespace {

constexpr int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Of a quantised panel: pairs of k that a chunk of one vector of columns holds, and its bytes.
constexpr int quant_chunk_pairs(DType dtype) { return dtype == DType::kInt8 ? 1 : 4; }
constexpr int quant_chunk_bytes(DType dtype) {
  return dtype == DType::kInt8 ? kVectorBytes / 2 : kVectorBytes;
}
constexpr int quant_group_chunks(DType dtype) { return quant_group(dtype) / 2 / quant_chunk_pairs(dtype); }
// Parameters and numbers of one group and one vector of columns.
constexpr int quant_group_bytes(DType dtype) {
  return kVectorBytes + quant_group_chunks(dtype) * quant_chunk_bytes(dtype);
}

// Where the panels of a matrix lie. Quantised panels are laid out in gemm_quant.h and have no steps.
struct PanelLayout {
  int N, steps;
  int64_t bytes_per_vector;  // of a panel, all of k

  PanelLayout(DType dtype, int N, int K)
      : N(N),
        steps(dtype == DType::kF32 ? K : int(divide_up(K, 2))),
        bytes_per_vector(int64_t(steps) * kVectorBytes) {
    if (!is_quantized(dtype)) return;
    bytes_per_vector = divide_up(K, quant_group(dtype)) * quant_group_bytes(dtype);
  }

  int64_t count() const { return divide_up(N, kPanelCols); }
  int vectors(int64_t panel) const {
    const int64_t left = divide_up(N - panel * kPanelCols, kLanes);
    return left < kMaxVectors ? int(left) : kMaxVectors;
  }
  int64_t step_bytes(int64_t panel) const { return int64_t(vectors(panel)) * kVectorBytes; }
  int64_t offset_bytes(int64_t panel) const { return panel * kMaxVectors * bytes_per_vector; }
  int64_t total_bytes() const { return divide_up(N, kLanes) * bytes_per_vector; }
};

template <typename T>
inline T load_unaligned(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

inline float value_as_f32(const RowRef& row, int k) {
  if (row.dtype == DType::kF32) return load_unaligned<float>(row.data + 4 * int64_t(k));
  const uint16_t half = load_unaligned<uint16_t>(row.data + 2 * int64_t(k));
  if (row.dtype == DType::kF16) return _cvtsh_ss(half);
  const uint32_t bits = uint32_t(half) << 16;
  float f;
  std::memcpy(&f, &bits, sizeof f);
  return f;
}

// Round to nearest even; NaN stays NaN.
inline uint16_t value_as_bf16(const RowRef& row, int k) {
  if (row.dtype == DType::kBF16) return load_unaligned<uint16_t>(row.data + 2 * int64_t(k));
  const float f = value_as_f32(row, k);
  uint32_t bits;
  std::memcpy(&bits, &f, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return uint16_t(bits >> 16 | 0x40u);
  return uint16_t((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

// One lane of a panel, steps [begin, end): `row` along k into every `step_bytes`.
void pack_lane_f32(const RowRef& row, int begin, int end, int64_t step_bytes, std::byte* lane) {
  for (int s = begin; s < end; ++s) {
    const float f = row.data ? value_as_f32(row, s) : 0.0f;
    std::memcpy(lane + s * step_bytes, &f, sizeof f);
  }
}

void pack_lane_bf16(const RowRef& row, int K, int begin, int end, int64_t step_bytes, std::byte* lane) {
  const int whole_end = !row.data ? begin : end * 2 <= K ? end : end - 1;
  if (row.data && row.dtype == DType::kBF16) {
    for (int s = begin; s < whole_end; ++s) std::memcpy(lane + s * step_bytes, row.data + 4 * int64_t(s), 4);
  } else {
    for (int s = begin; s < whole_end; ++s) {
      const uint16_t pair[2] = {value_as_bf16(row, 2 * s), value_as_bf16(row, 2 * s + 1)};
      std::memcpy(lane + s * step_bytes, pair, sizeof pair);
    }
  }
  for (int s = whole_end; s < end; ++s) {
    const uint16_t pair[2] = {row.data ? value_as_bf16(row, 2 * s) : uint16_t(0), 0};
    std::memcpy(lane + s * step_bytes, pair, sizeof pair);
  }
}

void pack_panel(const PackArgs& args, const PanelLayout& layout, int64_t panel) {
  constexpr int kStepsAtOnce = 16;  // about a cache line of every row: source and panel stay in L1
  std::byte* packed = args.packed + layout.offset_bytes(panel);
  const int64_t step_bytes = layout.step_bytes(panel);
  for (int begin = 0; begin < layout.steps; begin += kStepsAtOnce) {
    const int end = begin + kStepsAtOnce < layout.steps ? begin + kStepsAtOnce : layout.steps;
    for (int lane = 0; lane < layout.vectors(panel) * kLanes; ++lane) {
      const int64_t n = panel * kPanelCols + lane;
      const RowRef row = n < args.N ? args.rows_N[n] : RowRef{nullptr, args.dtype};
      std::byte* to = packed + lane * 4;
      if (args.dtype == DType::kF32) {
        pack_lane_f32(row, begin, end, step_bytes, to);
      } else {
        pack_lane_bf16(row, args.K, begin, end, step_bytes, to);
      }
    }
  }
}

}  // namespace
}  // namespace mmprm::MMPRM_ISA
