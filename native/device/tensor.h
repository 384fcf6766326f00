// Rows of numbers in a device's memory, as graph code sees them: it can cut them, but not read them.
#pragma once
#include <cstddef>

#include "include/engine/types.h"

namespace mmprm {

// WHY a number and no pointer: reading a result while the device still computes it is then a compile error on
// machines without a GPU too. Backends turn it into an address (device/address.h, which only they include).
struct Address {
  uint64_t value = 0;
};

// Rows of one matrix, F32 or BF16; a vector is one row. No memory (value 0): absent.
struct Tensor {
  Address at;
  DType dtype = DType::kF32;
  int32_t rows = 0, cols = 0;
  int64_t stride = 0;  // elements from one row to the next

  bool empty() const { return at.value == 0; }
  Tensor part(int64_t first_row, int num_rows) const {
    Tensor out = *this;
    out.at.value += uint64_t(first_row * stride) * dtype_bytes(dtype);
    out.rows = num_rows;
    return out;
  }
  Tensor columns(int64_t first, int count) const {
    Tensor out = *this;
    out.at.value += uint64_t(first) * dtype_bytes(dtype);
    out.cols = count;
    return out;
  }
};

// Host memory: a row of a matrix as the checkpoint has it, K contiguous elements, perhaps unaligned. Null data
// is a row of zeros.
struct RowRef {
  const std::byte* data = nullptr;
  DType dtype = DType::kF32;
};

}  // namespace mmprm
