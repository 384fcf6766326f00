#include "models/weight_table.h"

#include "base/float_types.h"

namespace mmprm {

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
