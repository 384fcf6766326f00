// rmsnorm: y = x · rsqrt(mean(x²) + eps) · weight, per row; one reduction order for every row, ever.
// x is F32; y may be F32 or BF16 and may be x itself. One unit is one row.
#pragma once
#include <cstdint>

#include "include/engine/types.h"

namespace mmprm {

struct RmsnormArgs {
  const float* x = nullptr;
  int64_t x_stride = 0;
  const int32_t* x_rows = nullptr;  // row of x for each row of y; null: the same row
  const float* weight_C = nullptr;
  void* y = nullptr;
  DType y_dtype = DType::kF32;
  int64_t y_stride = 0;
  int rows = 0, C = 0;
  float eps = 0;
};

struct RmsnormKernel {
  void (*run)(const RmsnormArgs& args, int64_t row_begin, int64_t row_end);
};

}  // namespace mmprm
