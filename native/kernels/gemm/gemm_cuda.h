// gemm on CUDA: y = epilogue(x · wᵀ) by one family of kernels.
//
// INVARIANT: features are the M side of a product, tokens its N side; every output is one fp32 accumulator that takes k
// in steps of 16 from 0 up, whole. So an output is a pure function of one row of w and one row of x: which kernel of the
// family runs, its tiles and stages, the row's place and what stands beside it change no bit (gemm_cases_cuda.cc). F32
// weights take one chain of fma instead, k rising.
#pragma once
#include <string>
#include <vector>

#include "cuda/runtime.h"
#include "device/ops.h"

namespace mmprm::cuda {

// Whose kernels run: sm_80's, which all later chips run too, or sm_90a's with TMA and wgmma, which only compute capability 9
// runs: elsewhere they are empty. Which chips add alike is another matter (result_class).
enum class ChipClass : uint8_t { kSm80, kSm90 };

constexpr ChipClass chip_class(int major) { return major == 9 ? ChipClass::kSm90 : ChipClass::kSm80; }
// Of a compute capability from 8 on: bits are equal within one class.
constexpr const char* result_class(int major) { return major == 8 ? "sm80" : "sm90"; }

struct GemmProblem {
  const void *w = nullptr, *x = nullptr;  // rows of K; BF16: addresses and strides are multiples of 16 bytes
  void* y = nullptr;                      // F32 or BF16
  int64_t w_stride = 0, x_stride = 0, y_stride = 0;  // elements
  int N = 0, K = 0, rows = 0;
  int y_cols = 0;                         // columns stored: at most N; kSwiglu: at most N / 2
  const float* bias_N = nullptr;          // may be null; readable up to the next multiple of 4 elements
  const float* column_scale_N = nullptr;  // likewise
  DType dtype = DType::kBF16;             // of w and x: F32 or BF16
  DType y_dtype = DType::kF32;
  Epilogue epilogue = Epilogue::kStore;  // kSwiglu: rows of w in groups of 16, ordered by gated_rows.h
};

enum class GemmKind : uint8_t {
  kChain,   // F32: one fma after the other
  kMma,     // cp.async and mma.sync: sm_80 and later
  kNarrow,  // TMA and mma.sync, tiles of 32 features: sm_90a, few rows
  kWgmma,   // TMA and wgmma: sm_90a
};

struct GemmConfig {
  GemmKind kind = GemmKind::kChain;
  int features = 0, tokens = 0;  // of a tile

  bool operator==(const GemmConfig&) const = default;
};

// Depends on its arguments alone.
GemmConfig gemm_config(ChipClass chip, int N, int K, DType dtype, int rows);
// "wgmma 128x256": what logs and results name.
std::string describe(const GemmConfig& config);
// All configurations that can work on a problem of this dtype.
std::vector<GemmConfig> gemm_configs(ChipClass chip, DType dtype);

// `multiprocessors`: of the card; how many tiles run side by side changes no bit.
cudaError_t gemm(const GemmProblem& problem, const GemmConfig& config, int multiprocessors,
                 cudaStream_t stream);

}  // namespace mmprm::cuda
