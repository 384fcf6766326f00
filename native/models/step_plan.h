// What one forward pass computes: rows, their positions, the keys each row sees, where its own keys go, and
// which rows are read out. A plan knows nothing of weights; kernels know nothing of plans.
#pragma once
#include <cstdint>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/rope/rope.h"

namespace mmprm {

struct StepPlan {
  std::vector<int32_t> tokens_T;     // a vocabulary id, or -1 - r for row r of the image features
  std::vector<int32_t> positions_T;  // from 0
  std::vector<RowKeys> rows_T;       // point into page_lists
  std::vector<Slot> slots;         // destinations of row t: [slot_begin_T1[t], slot_begin_T1[t + 1])
  std::vector<int32_t> slot_begin_T1;
  std::vector<std::vector<int32_t>> page_lists;
  int num_pages = 0;
  std::vector<int32_t> output_rows;  // rising row numbers

  int num_rows() const { return static_cast<int>(tokens_T.size()); }
};

}  // namespace mmprm
