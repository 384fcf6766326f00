// gemm, one instruction set: packed outer product. Compiled once for each, see kernels/table.h.
//
// A unit is a block of rows against a group of neighbouring panels. Inside it a panel is walked in blocks of
// k that stay in L1 while all rows of the unit use them; rows of a are read where they lie, one broadcast per
// row and step. The tile between blocks of k is the accumulator itself, so no cut changes a bit.
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/gemm_epilogue.h"
#include "kernels/gemm/gemm_pack.h"
#include "kernels/gemm/gemm_quant.h"

namespace mmprm::MMPRM_ISA {
namespace {

constexpr int kRowBlock = 64;                 // rows of a unit
constexpr int64_t kWeightBlockBytes = 24576;  // of a panel at a time: most of L1
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

// The block of k that the micro-kernels read next: the panel's own bytes, or its groups expanded to bf16.
class WeightBlocks {
 public:
  WeightBlocks(const GemmArgs& args, const PanelLayout& layout, int64_t panel)
      : quant_(args.w->dtype, args.w->K),
        panel_(args.w->data + layout.offset_bytes(panel)),
        vectors_(layout.vectors(panel)),
        step_bytes_(layout.step_bytes(panel)) {}

  int steps_at_once() const {
    const int most = int(kWeightBlockBytes / step_bytes_);
    return quant_.group == 0 ? most : most / quant_.pairs * quant_.pairs;
  }
  const std::byte* at(int step, int steps) {
    if (quant_.group == 0) return panel_ + step * step_bytes_;
    const int first = step / quant_.pairs;
    expand_groups(quant_, panel_, vectors_, first, first + int(divide_up(steps, quant_.pairs)), expanded_);
    return expanded_;
  }

 private:
  QuantLayout quant_;
  const std::byte* panel_;
  int vectors_;
  int64_t step_bytes_;
  alignas(64) std::byte expanded_[kWeightBlockBytes];
};

// All of k for rows [m, m + rows) and one panel.
template <typename Multiply>
void run_panel(const GemmArgs& args, const PanelLayout& layout, int64_t panel, int64_t m, int rows) {
  alignas(64) float tile[kRowBlock * kPanelCols];
  std::memset(tile, 0, sizeof(float) * size_t(rows) * kPanelCols);
  const int vectors = layout.vectors(panel);
  const int64_t a_stride_bytes = args.a_stride * (Multiply::kActivationBytes / Multiply::kPerStep);
  const std::byte* a = static_cast<const std::byte*>(args.a_MK) + m * a_stride_bytes;
  WeightBlocks blocks(args, layout, panel);
  const int steps_at_once = blocks.steps_at_once();
  const int row_groups = int(divide_up(rows, kMaxRows));
  for (int s = 0; s < layout.steps; s += steps_at_once) {
    const int steps = s + steps_at_once < layout.steps ? steps_at_once : layout.steps - s;
    const std::byte* block = blocks.at(s, steps);
    for (int g = 0; g < row_groups; ++g) {  // of sizes that differ by one at most
      const int first = rows * g / row_groups, count = rows * (g + 1) / row_groups - first;
      kMultiplyTile<Multiply>[count - 1][vectors - 1](
          block, a + first * a_stride_bytes + int64_t(s) * Multiply::kActivationBytes, a_stride_bytes, steps,
          tile + first * kPanelCols);
    }
  }
  finish_tile(args, tile, m, rows, panel * kPanelCols, vectors);
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
      if (args.w->dtype == DType::kF32) {
        run_panel<MultiplyF32>(args, plan.layout, p, m, rows);
      } else {
        run_panel<MultiplyBf16>(args, plan.layout, p, m, rows);
      }
    }
  }
}

}  // namespace

extern const GemmKernel gemm;
const GemmKernel gemm = {packed_bytes, pack_units, pack, units, run};

}  // namespace mmprm::MMPRM_ISA
