// How the CPU's training ops see tensors: as F32 rows in memory.
#pragma once
#include "device/address.h"
#include "device/tensor.h"
#include "include/engine/error.h"

namespace mmprm {

inline float* floats(const Tensor& t) { return row_of<float>(t, 0); }
inline float* floats_or_null(const Tensor& t) { return t.empty() ? nullptr : floats(t); }
inline int64_t size_of(const Tensor& t) { return int64_t(t.rows) * t.cols; }
inline bool same_shape(const Tensor& a, const Tensor& b) { return a.rows == b.rows && a.cols == b.cols; }

inline void require(bool condition, const char* what) {
  if (!condition) throw Error(ErrorCode::kInternal, what);
}

}  // namespace mmprm
