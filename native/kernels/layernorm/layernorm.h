// layernorm: y = (x - mean) · rsqrt(variance + eps) · weight + bias, per row, two passes (mean, then
// variance). x is F32; y may be F32 or BF16 and may be x itself. One unit is one row.
#pragma once
#include <cstdint>

#include "include/engine/types.h"

namespace mmprm {

struct LayernormArgs {
  const float* x = nullptr;
  int64_t x_stride = 0;
  const float* weight_C = nullptr;
  const float* bias_C = nullptr;
  void* y = nullptr;
  DType y_dtype = DType::kF32;
  int64_t y_stride = 0;
  int rows = 0, C = 0;
  float eps = 0;
};

struct LayernormKernel {
  void (*run)(const LayernormArgs& args, int64_t row_begin, int64_t row_end);
};

}  // namespace mmprm
