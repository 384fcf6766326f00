// gemm of quantised weights on CUDA, in whole numbers (quantize.h): the sums, and so the bits before the epilogue, are the
// CPU's for equal bf16 activations.
//
// An activation becomes a 16-bit whole number in units of its row and group, and goes as a signed high and an unsigned low
// byte into two products of integer tensor cores. A group's sum is exact; then acc = fma(sum, scale · unit, acc), groups rising.
#pragma once
#include "kernels/gemm/gemm_cuda.h"

namespace mmprm::cuda {

constexpr int kQuantDepth = 64;  // k is rounded up to this

// Rows of w on the device. int8: a byte for each k. int4: for 32 k 16 bytes, byte 4 t + i holding k = 4 t + i below and
// k = 16 + 4 t + i above. Parameters: [groups][N rounded up to 4].
struct QuantWeights {
  const uint8_t* numbers = nullptr;
  const float* scales = nullptr;
  const uint32_t* zeros = nullptr;  // int4: the zero point in each of four bytes
  DType dtype = DType::kInt8;
  int N = 0, K = 0;

  int padded_N() const { return (N + 3) / 4 * 4; }
  int padded_K() const { return (K + kQuantDepth - 1) / kQuantDepth * kQuantDepth; }
  int group() const { return dtype == DType::kInt8 ? 64 : 32; }
  int groups() const { return padded_K() / group(); }
  int64_t row_bytes() const { return padded_K() / (dtype == DType::kInt8 ? 1 : 2); }
};

// Where k of a row's 32 int4 numbers goes: byte, and whether into its upper half.
constexpr int int4_byte(int k) { return k % 16; }
constexpr bool int4_upper(int k) { return k % 32 >= 16; }

// Scratch for prepared activations.
size_t quant_scratch_bytes(const QuantWeights& w, int rows);

// `problem`: x BF16, rows of K; w, w_stride and dtype are not read. `scratch` is aligned to 16 bytes.
cudaError_t gemm_quant(const GemmProblem& problem, const QuantWeights& w, void* scratch, cudaStream_t stream);
// The token tile alone may be chosen: for tests.
cudaError_t gemm_quant(const GemmProblem& problem, const QuantWeights& w, void* scratch, int tokens,
                       cudaStream_t stream);
int quant_tokens(int rows);

}  // namespace mmprm::cuda
