#include "models/weight_table.h"

#include "base/float_types.h"

namespace mmprm {

size_t MatrixSource::num_bytes() const {
  size_t bytes = 0;
  for (const Block& b : blocks) bytes += size_t(b.num_rows) * cols * dtype_bytes(b.dtype);
  return bytes;
}

std::vector<float> MatrixSource::to_f32() const {
  std::vector<float> values;
  values.reserve(size_t(rows) * cols);
  for (const Block& b : blocks) {
    for (size_t i = 0; i < size_t(b.num_rows) * cols; ++i) values.push_back(load_as_f32(b.data, b.dtype, i));
  }
  return values;
}

std::vector<RowRef> MatrixSource::row_refs() const {
  std::vector<RowRef> refs;
  refs.reserve(static_cast<size_t>(rows));
  for (const Block& block : blocks) {
    const size_t row_bytes = static_cast<size_t>(cols) * dtype_bytes(block.dtype);
    for (int r = 0; r < block.num_rows; ++r)
      refs.push_back({block.data + static_cast<size_t>(r) * row_bytes, block.dtype});
  }
  return refs;
}

std::vector<float> VectorSource::to_f32() const {
  std::vector<float> values;
  values.reserve(static_cast<size_t>(size));
  for (const Part& part : parts) {
    for (int i = 0; i < part.size; ++i) {
      values.push_back(part.data ? load_as_f32(part.data, part.dtype, static_cast<size_t>(i)) : 0.0f);
    }
  }
  return values;
}

}  // namespace mmprm
