// rowwise: what lies between the products of a training step, forward and backward. All memory is F32.
//
//   rotate        q, k <- rotated by sign·angle, in place (rotate-half form, as in kernels/rope)
//   swiglu        y = silu(gate)·up                    from rows gate|up
//   swiglu_grad   (gate|up, dy) <- (d_gate|d_up, y)    both in place
//   gelu          y = gelu(x), the exact erf form
//   gelu_grad     (x, dy) <- (dx, y)                   both in place
//   gelu_tanh …   the same for the form with a tanh
//   scaled_add    y = x + scale·z                      layer scale
//   scaled_grad   dz = scale·dy;  partial: Σ dy·z
//   norm_grad     dx += gradient of an RMS or layer norm;  partial: Σ dy·x̂ and Σ dy
//   column_sum    sum += Σ over rows of x
//
// "partial" sums run over blocks of kPartialRows rows: a [blocks, C] matrix that column_sum then adds
// up in order, so that gradients do not depend on the number of threads. Units are rows, partial
// blocks or strips of columns.
#pragma once
#include <cstdint>

#include "include/engine/types.h"

namespace mmprm {

constexpr int kPartialRows = 64, kStripColumns = 64;

constexpr int64_t partial_blocks(int64_t rows) { return (rows + kPartialRows - 1) / kPartialRows; }

struct RotateArgs {
  float* qkv = nullptr;
  int64_t stride = 0;
  const float* cos_sin = nullptr;        // [position][2][D/2]
  int64_t cos_sin_stride = 0;            // from one position to the next
  const int32_t* positions_T = nullptr;  // row of cos_sin
  int num_heads = 0, head_dim_D = 0;     // H + G: queries and keys stand first in a row
  float sign = 1;                        // -1 rotates back, which is the gradient
};

struct SwigluArgs {
  float* gate_up = nullptr;  // rows of 2F
  int64_t gate_up_stride = 0;
  float* y = nullptr;  // rows of F; swiglu_grad reads dy here
  int64_t y_stride = 0;
  int F = 0;
};

struct GeluArgs {
  float* x = nullptr;
  int64_t x_stride = 0;
  float* y = nullptr;  // gelu_grad reads dy here
  int64_t y_stride = 0;
  int F = 0;
};

struct ScaledArgs {
  const float* x = nullptr;  // rows of C; scaled_grad: dy
  const float* z = nullptr;
  const float* scale_C = nullptr;
  float* y = nullptr;  // scaled_grad: dz
  int64_t stride = 0;  // of all four
  float* partial = nullptr;
  int rows = 0, C = 0;
};

struct NormGradArgs {
  const float* x = nullptr;
  int64_t x_stride = 0;
  const float* weight_C = nullptr;
  const float* dy = nullptr;
  int64_t dy_stride = 0;
  float* dx = nullptr;  // added to
  int64_t dx_stride = 0;
  float* weight_partial = nullptr;  // [blocks, C]
  float* bias_partial = nullptr;    // [blocks, C]; null: an RMS norm
  int rows = 0, C = 0;
  float eps = 0;
};

struct ColumnSumArgs {
  const float* x = nullptr;
  int64_t stride = 0;
  float* sum = nullptr;  // [C], added to
  int rows = 0, C = 0;
};

struct RowwiseKernel {
  void (*rotate)(const RotateArgs& args, int64_t row_begin, int64_t row_end);
  void (*swiglu)(const SwigluArgs& args, int64_t row_begin, int64_t row_end);
  void (*swiglu_grad)(const SwigluArgs& args, int64_t row_begin, int64_t row_end);
  void (*gelu)(const GeluArgs& args, int64_t row_begin, int64_t row_end);
  void (*gelu_grad)(const GeluArgs& args, int64_t row_begin, int64_t row_end);
  void (*gelu_tanh)(const GeluArgs& args, int64_t row_begin, int64_t row_end);
  void (*gelu_tanh_grad)(const GeluArgs& args, int64_t row_begin, int64_t row_end);
  void (*scaled_add)(const ScaledArgs& args, int64_t row_begin, int64_t row_end);
  void (*scaled_grad)(const ScaledArgs& args, int64_t block_begin, int64_t block_end);
  void (*norm_grad)(const NormGradArgs& args, int64_t block_begin, int64_t block_end);
  void (*column_sum)(const ColumnSumArgs& args, int64_t strip_begin, int64_t strip_end);
};

}  // namespace mmprm
