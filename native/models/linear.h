// y = epilogue(a · W^T + bias) between row buffers: fills in GemmArgs.
#pragma once
#include "models/packed_model.h"
#include "models/row_buffer.h"

namespace mmprm {

inline GemmArgs linear_args(const PackedLinear& linear, const RowBuffer& a, int64_t a_row, int rows,
                            const RowBuffer& y, int64_t y_row, Epilogue epilogue) {
  GemmArgs args;
  args.w = &linear.w;
  args.a_MK = a.row(a_row);
  args.a_dtype = a.dtype();
  args.a_stride = a.stride();
  args.M = rows;
  args.y = y.row(y_row);
  args.y_dtype = y.dtype();
  args.y_stride = y.stride();
  args.y_cols = y.cols();
  args.bias_N = linear.bias_or_null();
  args.epilogue = epilogue;
  return args;
}

}  // namespace mmprm
