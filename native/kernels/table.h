// The kernel tables: one per instruction set, chosen once when an engine opens.
//
// Each op folder defines, per instruction set, one constant `const <Op>Kernel <op>` inside namespace
// mmprm::<isa> (`reference` in <op>_ref.cc; avx2, avx512 and avx512bf16 in <op>_cpu.cc, which is compiled
// once for each with MMPRM_ISA set to the namespace). Kernels are pure functions over a range of units:
// threads, memory and policy belong to their callers.
#pragma once
#include "include/engine/types.h"
#include "kernels/adamw/adamw.h"
#include "kernels/attention/attention.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/gemm/gemm.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/matmul/matmul.h"
#include "kernels/rmsnorm/rmsnorm.h"
#include "kernels/rope/rope.h"
#include "kernels/rowwise/rowwise.h"
#include "kernels/tree_attention/tree_attention.h"

namespace mmprm {

struct KernelTable {
  Isa isa;
#define MMPRM_OP(name, Type) Type name;
#include "kernels/ops.def"
#undef MMPRM_OP
};

// Throws kInvalidArgument where this build or processor lacks `isa`.
const KernelTable& kernel_table(Isa isa);

// Dtype in which activations meet weights of dtype `weights`. Without bf16 dot products in hardware, bf16
// weights are widened on the fly and activations stay F32: faster and more exact there.
constexpr DType activation_dtype(Isa isa, DType weights) {
  return isa == Isa::kAvx512Bf16 && weights != DType::kF32 ? DType::kBF16 : DType::kF32;
}

}  // namespace mmprm
