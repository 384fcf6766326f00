// gemm: y_MN = epilogue(a_MK · w_NK^T), the weights packed once for the kernel.
//
// INVARIANT: every output element is ONE sequential accumulation over k in fp32, the same instructions in the
// same order whatever M, the row's place in its block, and the unit range: row 0 of a batch equals the row
// alone, bit for bit. Splits over k are allowed only where the fp32 accumulator is stored and reloaded.
//
// Layout of a packed matrix is private to an instruction set: panels of `panel_cols()` columns of y, the last
// one narrower in steps of one vector, k in pairs for bf16; rows of zeros fill up N and K.
// Weights: F32 or BF16 in the pack. Activations: rows of the table's activation dtype for that weight dtype
// (`activation_dtype` in kernels/table.h), `a_stride` elements apart, 64-byte aligned, zero from K up to the
// next multiple of 2. Quantised weights meet activations of 16 bits, which `prepare` writes:
// gemm_quant_rows.h. Reference: double accumulation. Tolerance: c·eps·‖a_m‖·‖w_n‖, see gemm_case_bounds.h.
#pragma once
#include <cstddef>
#include <cstdint>

#include "device/ops.h"

namespace mmprm {

// Distance between rows of activations, in elements: whole cache lines, never a multiple of 4 KiB, where the
// rows of a block would compete for the same few lines of L1.
constexpr int64_t activation_stride(int K, DType dtype) {
  const int64_t per_line = 64 / int64_t(dtype_bytes(dtype));
  const int64_t stride = (K + per_line - 1) / per_line * per_line;
  return stride * int64_t(dtype_bytes(dtype)) % 4096 == 0 ? stride + per_line : stride;
}

struct PackedMatrix {
  const std::byte* data = nullptr;  // 64-byte aligned
  DType dtype = DType::kF32;
  int N = 0, K = 0;
};

struct PackArgs {
  const RowRef* rows_N = nullptr;  // in canonical order
  std::byte* packed = nullptr;     // packed_bytes(dtype, N, K), 64-byte aligned
  DType dtype = DType::kF32;
  int N = 0, K = 0;
};

struct GemmArgs {
  const PackedMatrix* w = nullptr;
  const void* a_MK = nullptr;
  DType a_dtype = DType::kF32;
  int64_t a_stride = 0;  // elements
  int M = 0;
  void* y = nullptr;
  DType y_dtype = DType::kF32;  // F32 or BF16
  int64_t y_stride = 0;         // elements
  int y_cols = 0;  // columns really stored: N, or less where packing rounded N up; N/2 for kSwiglu
  const float* bias_N = nullptr;          // may be null
  const float* column_scale_N = nullptr;  // may be null (layer scale); not with kSwiglu
  Epilogue epilogue = Epilogue::kStore;
  std::byte* prepared = nullptr;  // prepared_bytes(), 64-byte aligned: rows of a as `prepare` writes them
};

// Work is cut into independent units; any thread may run any range of them. Where prepared_bytes() is not 0,
// `prepare` runs before `run`, over all M rows.
struct GemmKernel {
  size_t (*packed_bytes)(DType dtype, int N, int K);
  int64_t (*pack_units)(const PackArgs& args);
  void (*pack)(const PackArgs& args, int64_t unit_begin, int64_t unit_end);
  size_t (*prepared_bytes)(const GemmArgs& args);
  void (*prepare)(const GemmArgs& args, int64_t row_begin, int64_t row_end);
  int64_t (*units)(const GemmArgs& args);
  void (*run)(const GemmArgs& args, int64_t unit_begin, int64_t unit_end);
};

}  // namespace mmprm
