// matmul: c_MN = a_MK · b_KN (+ addend_MN + bias_N), for training: both operands change from call to call and
// come in either orientation, so both are packed inside. All memory is F32.
//
//   linear forward: y = x · wᵀ      b = {w, transposed}
//   input gradient: dx = dy · w     b = {w}
//   weight gradient: dw += dyᵀ · x  a = {dy, transposed}, addend = dw
//
// `compute` BF16 rounds both operands to bf16 on the way in and adds in fp32; tables without bf16 products in
// hardware compute in F32 all the same. K is cut into blocks that depend on K and `compute` alone, each an
// unbroken fp32 accumulation: one row's bits depend neither on M nor on the range of units.
// Reference: double accumulation. Tolerance: c·eps·|a_m|·|b_n|, see matmul_cases.cc.
#pragma once
#include <cstddef>
#include <cstdint>

#include "include/engine/types.h"

namespace mmprm {

struct MatmulOperand {
  const float* data = nullptr;
  int64_t stride = 0;       // elements between rows as stored
  bool transposed = false;  // stored [K, M] for a, [N, K] for b
};

struct MatmulArgs {
  MatmulOperand a, b;
  float* c = nullptr;
  int64_t c_stride = 0;
  const float* addend = nullptr;  // may be null, may be c
  int64_t addend_stride = 0;
  const float* bias_N = nullptr;  // may be null
  int M = 0, N = 0, K = 0;
  DType compute = DType::kF32;
  float* packed_b = nullptr;  // packed_floats() of them, 64-byte aligned
};

// First all pack units, then all run units; within each, any thread may do any range.
struct MatmulKernel {
  size_t (*packed_floats)(const MatmulArgs& args);
  int64_t (*pack_units)(const MatmulArgs& args);
  void (*pack)(const MatmulArgs& args, int64_t unit_begin, int64_t unit_end);
  int64_t (*units)(const MatmulArgs& args);
  void (*run)(const MatmulArgs& args, int64_t unit_begin, int64_t unit_end);
};

}  // namespace mmprm
