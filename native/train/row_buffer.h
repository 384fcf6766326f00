// A growing matrix of activations with rows that kernels can read: aligned, padded with zeros, one dtype.
#pragma once
#include "cpu/aligned_buffer.h"
#include "kernels/gemm/gemm.h"

namespace mmprm {

class RowBuffer {
 public:
  RowBuffer(int cols, DType dtype) : cols_(cols), dtype_(dtype), stride_(activation_stride(cols, dtype)) {}

  void reserve(int rows) { storage_.reserve(size_t(rows) * stride_ * dtype_bytes(dtype_)); }
  int cols() const { return cols_; }
  DType dtype() const { return dtype_; }
  int64_t stride() const { return stride_; }
  std::byte* row(int64_t r) const { return storage_.data() + r * stride_ * dtype_bytes(dtype_); }
  float* row_f32(int64_t r) const { return reinterpret_cast<float*>(row(r)); }

 private:
  int cols_;
  DType dtype_;
  int64_t stride_;  // elements
  AlignedBuffer storage_;
};

}  // namespace mmprm
