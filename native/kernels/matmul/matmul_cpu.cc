// matmul, wide: b is packed once by all threads, then blocks of rows of c are
// computed, each packing its rows of a.
#include "kernels/matmul/matmul_tile.h"

namespace mmprm::MMPRM_ISA {
namespace {

constexpr int kFewRows = 1536;  // below: half blocks, so that a few threads find enough units

int unit_rows(const MatmulArgs& args) { return args.M >= kFewRows ? kBlockRows : kBlockRows / 2; }

int64_t panels_of(const MatmulArgs& args) { return (args.N + kColsOfB - 1) / kColsOfB; }

template <typename Step>
int64_t blocks_of_k(const MatmulArgs& args) {
  const int per_block = block_steps<Step>(args.K);
  return (steps_of<Step>(args.K) + per_block - 1) / per_block;
}

// A unit is one panel in one block of K.
template <typename Step>
void pack_units_of(const MatmulArgs& args, int64_t unit_begin, int64_t unit_end) {
  const int64_t panels = panels_of(args);
  const int per_block = block_steps<Step>(args.K), all_steps = steps_of<Step>(args.K);
  alignas(64) float panel[kColsOfB * kMaxSteps + 16];
  for (int64_t unit = unit_begin; unit < unit_end; ++unit) {
    const int first_step = int(unit / panels) * per_block, steps = smaller(per_block, all_steps - first_step);
    const int64_t p = unit % panels;
    const int k = first_step * Step::kPerStep, n = int(p) * kColsOfB;
    pack_panel<Step, kColsOfB>(columns_of(args.b), n, smaller(kColsOfB, args.N - n), k,
                               smaller(steps * Step::kPerStep, args.K - k), panel);
    __builtin_memcpy(args.packed_b + (first_step * panels + p * steps) * kColsOfB, panel,
                     size_t(steps) * kColsOfB * sizeof(float));
  }
}

template <typename Step>
void run_units(const MatmulArgs& args, int64_t unit_begin, int64_t unit_end) {
  const int rows = unit_rows(args);
  for (int64_t unit = unit_begin; unit < unit_end; ++unit) {
    const int m = int(unit) * rows;
    multiply_rows<Step>(args, m, smaller(rows, args.M - m), args.packed_b);
  }
}

bool in_bf16(const MatmulArgs& args) { return args.compute == DType::kBF16; }

size_t packed_floats(const MatmulArgs& args) {
  const int steps = in_bf16(args) ? steps_of<StepBf16>(args.K) : steps_of<StepF32>(args.K);
  return size_t(steps) * panels_of(args) * kColsOfB;
}

int64_t pack_units(const MatmulArgs& args) {
  return panels_of(args) * (in_bf16(args) ? blocks_of_k<StepBf16>(args) : blocks_of_k<StepF32>(args));
}

void pack(const MatmulArgs& args, int64_t unit_begin, int64_t unit_end) {
  in_bf16(args) ? pack_units_of<StepBf16>(args, unit_begin, unit_end)
                : pack_units_of<StepF32>(args, unit_begin, unit_end);
}

int64_t units(const MatmulArgs& args) {
  const int rows = unit_rows(args);
  return (args.M + rows - 1) / rows;
}

void run(const MatmulArgs& args, int64_t unit_begin, int64_t unit_end) {
  in_bf16(args) ? run_units<StepBf16>(args, unit_begin, unit_end)
                : run_units<StepF32>(args, unit_begin, unit_end);
}

}  // namespace

extern const MatmulKernel matmul;
const MatmulKernel matmul = {packed_floats, pack_units, pack, units, run};

}  // namespace mmprm::MMPRM_ISA
