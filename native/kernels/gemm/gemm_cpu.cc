// gemm, one instruction set: packed outer product. Compiled once for each, see kernels/table.h.
//
// A unit is a block of rows against a group of neighbouring panels. Inside it a panel is walked in blocks of
// k that stay in a cache while all rows of the unit use them: L1 where few rows wait for memory, L2 where
// many rows would spend too long on loading and storing their tile. Rows of a are read where they
// lie (with quantised weights, as prepared), one broadcast per row and step. The tile between blocks of k is
// the accumulator itself, so no cut changes a bit.
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/gemm_epilogue.h"
#include "kernels/gemm/gemm_pack.h"
#include "kernels/gemm/gemm_quant_micro.h"

namespace mmprm::MMPRM_ISA {
namespace {

constexpr int kRowBlock = 64;                 // rows of a unit
constexpr int64_t kWeightBlockBytes = 12288;  // of a panel at a time: with the next one, most of L1
constexpr int64_t kManyRowsBlockBytes = 131072;
constexpr int kManyRowGroups = 4;
constexpr int64_t kUnitBytes = 1 << 18;  // weights of a unit when rows are few: long streams, few tickets
constexpr int64_t kMinUnits = 16;        // but enough of them to share out

struct WorkPlan {
  PanelLayout layout;
  int64_t row_blocks, panels_per_unit;

  explicit WorkPlan(const GemmArgs& args)
      : layout(args.w->dtype, args.w->N, args.w->K),
        row_blocks(divide_up(args.M, kRowBlock)),
        panels_per_unit(1) {
    if (row_blocks > 1) return;
    const int64_t panel_bytes = layout.offset_bytes(1);
    const int64_t wanted = divide_up(kUnitBytes, panel_bytes * (1 + args.M / 8));
    const int64_t most = layout.count() / kMinUnits;
    panels_per_unit = wanted < most ? wanted : most > 1 ? most : 1;
  }
  int64_t units() const { return divide_up(layout.count(), panels_per_unit) * row_blocks; }
};

// A panel in blocks of k, in the form that the micro-kernels read: its own bytes, or
// pairs of bf16 widened to f32.
template <bool widens>
class WeightBlocks {
 public:
  WeightBlocks(const GemmArgs& args, const PanelLayout& layout, int64_t panel)
      : panel_(args.w->data + layout.offset_bytes(panel)),
        vectors_(layout.vectors(panel)),
        step_bytes_(layout.step_bytes(panel)),
        steps_(layout.steps) {}

  int steps_at_once(int row_groups) const {
    if (widens || row_groups < kManyRowGroups) return int(kWeightBlockBytes / step_bytes_);
    return int(divide_up(steps_, divide_up(steps_ * step_bytes_, kManyRowsBlockBytes)));
  }
  // Where the panel's own bytes of `step` are.
  const std::byte* source(int step) const { return panel_ + step * step_bytes_; }
  // Fills in what the micro-kernels need of the weights.
  void prepare(int step, int steps, TileArgs& t) {
    t.w = source(step);
    t.steps = widens ? 2 * steps : steps;
#if defined(MMPRM_ISA_AVX2)
    if constexpr (widens) {
      widen_block(t.w, steps, vectors_, widened_);
      t.w = reinterpret_cast<const std::byte*>(widened_);
    }
#endif
  }

 private:
  const std::byte* panel_;
  int vectors_;
  int64_t step_bytes_;
  int steps_;
  alignas(64) float widened_[widens ? kWeightBlockBytes / 2 : 1];
};

template <typename Multiply, bool widens>
void multiply_panel(const GemmArgs& args, const PanelLayout& layout, int64_t panel, int64_t m, int rows,
                    float* tile) {
  const int vectors = layout.vectors(panel);
  WeightBlocks<widens> blocks(args, layout, panel);
  const int row_groups = int(divide_up(rows, kMaxRows));
  const int steps_at_once = blocks.steps_at_once(row_groups);
  TileArgs t{};
  t.a_stride_bytes = args.a_stride * int64_t(dtype_bytes(args.a_dtype));
  const std::byte* a = static_cast<const std::byte*>(args.a_MK) + m * t.a_stride_bytes;
  for (int s = 0; s < layout.steps; s += steps_at_once) {
    blocks.prepare(s, s + steps_at_once < layout.steps ? steps_at_once : layout.steps - s, t);
    // The next block of k, or of the next panel, comes closer while all groups of rows use this one.
    const std::byte* ahead = blocks.source(s + steps_at_once);
    t.ahead_bytes = (ahead - blocks.source(s)) / (t.steps * row_groups);
    for (int g = 0; g < row_groups; ++g) {  // of sizes that differ by one at most
      const int first = rows * g / row_groups, count = rows * (g + 1) / row_groups - first;
      t.a = a + first * t.a_stride_bytes + s * int64_t(Multiply::kActivationBytes) * (widens ? 2 : 1);
      t.tile = tile + first * kPanelCols;
      t.ahead = ahead + g * t.steps * t.ahead_bytes;
      kMultiplyTile<Multiply>[count - 1][vectors - 1](t);
    }
  }
}

// MEASURED: where all rows of a panel fit in the registers, it is one block, read once; what comes is asked
// for this far ahead. Twice and four times as far take 0.81 of memory instead of 0.91 (int8, 4 rows).
constexpr int kQuantBytesAhead = 3072;

// The same for quantised weights, in blocks of whole groups.
template <DType dtype>
void multiply_quant_panel(const GemmArgs& args, const PanelLayout& layout, int64_t panel, int64_t m, int rows,
                          float* tile) {
  using Numbers = Packed<dtype>;
  const PreparedLayout prepared(*args.w);
  const int vectors = layout.vectors(panel), groups = prepared.quant.groups;
  const int row_groups = int(divide_up(rows, kMaxRows));
  const bool once = row_groups == 1, widens = kWidensForMoreRows<dtype> && !once;
  const int64_t bytes = group_bytes<Numbers>(vectors);
  const int groups_at_once = once     ? groups
                             : widens ? int(kWidenedBlockBytes / group_bytes<Widened<dtype>>(vectors))
                                      : int(kWeightBlockBytes / bytes);
  const auto& multiply = widens ? kMultiplyGroups<Widened<dtype>> : kMultiplyGroups<Numbers>;
  alignas(64) std::byte widened[kWidenedBlockBytes];
  QuantTileArgs t{};
  t.a_stride_bytes = prepared.stride_bytes;
  const std::byte* w = args.w->data + layout.offset_bytes(panel);
  for (int k = 0; k < groups; k += groups_at_once, w += groups_at_once * bytes) {
    t.groups = k + groups_at_once < groups ? groups_at_once : groups - k;
    t.w = widens ? widened : w;
    if (widens) widen_groups<dtype>(w, t.groups, vectors, widened);
    const std::byte* ahead = w + (once ? kQuantBytesAhead : groups_at_once * bytes);
    const int chunks = t.groups * (Numbers::kGroup / 2 / (widens ? 1 : Numbers::kChunkPairs));
    t.ahead_bytes = groups_at_once * bytes / (chunks * row_groups);
    for (int g = 0; g < row_groups; ++g) {
      const int first = rows * g / row_groups, count = rows * (g + 1) / row_groups - first;
      const std::byte* row = args.prepared + (m + first) * prepared.stride_bytes;
      t.a = row + 2 * int64_t(k) * Numbers::kGroup;
      t.units = reinterpret_cast<const float*>(row + prepared.units_at) + k;
      t.tile = tile + first * kPanelCols;
      t.ahead = ahead + g * chunks * t.ahead_bytes;
      multiply[count - 1][vectors - 1](t);
    }
  }
}

auto multiply_panel_of(DType weights, [[maybe_unused]] int rows) {
  if (weights == DType::kInt8) return multiply_quant_panel<DType::kInt8>;
  if (weights == DType::kInt4) return multiply_quant_panel<DType::kInt4>;
  if (weights == DType::kF32) return multiply_panel<MultiplyF32, false>;
#if defined(MMPRM_ISA_AVX2)
  // MEASURED: with 16 registers and two ports for everything, widening inside the loop takes
  // 0.66 of the peak, a widened block 0.88; for fewer rows the block is not used often enough
  // (0.54 against 0.74 of memory).
  if (rows >= 4) return multiply_panel<MultiplyF32, true>;
#endif
  return multiply_panel<MultiplyBf16, false>;
}

// All of k for rows [m, m + rows) and one panel.
void run_panel(const GemmArgs& args, const PanelLayout& layout, int64_t panel, int64_t m, int rows) {
  alignas(64) float tile[kRowBlock * kPanelCols];
  std::memset(tile, 0, sizeof(float) * size_t(rows) * kPanelCols);
  multiply_panel_of(args.w->dtype, rows)(args, layout, panel, m, rows, tile);
  finish_tile(args, tile, m, rows, panel * kPanelCols, layout.vectors(panel));
}

size_t prepared_bytes(const GemmArgs& args) {
  return is_quantized(args.w->dtype) ? size_t(args.M * PreparedLayout(*args.w).stride_bytes) : 0;
}

void prepare(const GemmArgs& args, int64_t row_begin, int64_t row_end) {
  const PreparedLayout layout(*args.w);
  const int64_t a_stride_bytes = args.a_stride * int64_t(dtype_bytes(args.a_dtype));
  for (int64_t m = row_begin; m < row_end; ++m) {
    prepare_row(args, layout, static_cast<const std::byte*>(args.a_MK) + m * a_stride_bytes,
                args.prepared + m * layout.stride_bytes);
  }
}

size_t packed_bytes(DType dtype, int N, int K) { return size_t(PanelLayout(dtype, N, K).total_bytes()); }

int64_t pack_units(const PackArgs& args) { return PanelLayout(args.dtype, args.N, args.K).count(); }

void pack(const PackArgs& args, int64_t unit_begin, int64_t unit_end) {
  const PanelLayout layout(args.dtype, args.N, args.K);
  for (int64_t panel = unit_begin; panel < unit_end; ++panel) {
    (is_quantized(args.dtype) ? pack_quant_panel : pack_panel)(args, layout, panel);
  }
}

int64_t units(const GemmArgs& args) { return WorkPlan(args).units(); }

void run(const GemmArgs& args, int64_t unit_begin, int64_t unit_end) {
  const WorkPlan plan(args);
  for (int64_t u = unit_begin; u < unit_end; ++u) {
    const int64_t m = u % plan.row_blocks * kRowBlock;
    const int rows = args.M - m < kRowBlock ? int(args.M - m) : kRowBlock;
    const int64_t first = u / plan.row_blocks * plan.panels_per_unit;
    for (int64_t p = first; p < first + plan.panels_per_unit && p < plan.layout.count(); ++p) {
      run_panel(args, plan.layout, p, m, rows);
    }
  }
}

}  // namespace

extern const GemmKernel gemm;
const GemmKernel gemm = {packed_bytes, pack_units, pack, prepared_bytes, prepare, units, run};

}  // namespace mmprm::MMPRM_ISA
