// What one forward pass computes: rows, their positions, the keys each row sees, where its own keys go, and
// what is read out. Plain arrays, so that they can be uploaded and outlive whoever planned them; a plan knows
// nothing of weights.
#pragma once
#include <vector>

#include "device/pages.h"

namespace mmprm {

// Two logits of one output row: the head's rows `ids` alone.
struct PairOutput {
  int32_t output = 0;  // index into output_rows
  int32_t ids[2] = {0, 0};
};

// Where a row stands, for the angles that it turns by: in a text all three are its position, in a picture of some models
// they are not.
struct RopeAxes {
  int32_t time = 0, row = 0, column = 0;

  static RopeAxes text(int32_t position) { return {position, position, position}; }
  bool is_text() const { return row == time && column == time; }
};

struct StepPlan {
  std::vector<int32_t> tokens_T;     // a vocabulary id, or -1 - r for image row r; empty in vision
  std::vector<int32_t> positions_T;  // from 0; empty where nothing rotates
  std::vector<RopeAxes> axes_T;      // read by graphs, not by devices; empty: positions_T says it all
  std::vector<int32_t> pages;        // what keys_T refers to
  std::vector<KeyRun> keys_T;
  std::vector<Slot> slots;  // destinations of row t: [slot_begin_T1[t], slot_begin_T1[t + 1])
  std::vector<int32_t> slot_begin_T1;
  std::vector<PageOp> page_ops;
  std::vector<int32_t> output_rows;   // rising row numbers: what is kept after the last layer
  std::vector<int32_t> head_outputs;  // indices into output_rows: all logits, or all classes of a reward head
  std::vector<PairOutput> pair_outputs;

  int num_rows() const { return static_cast<int>(keys_T.size()); }
  int num_outputs() const { return static_cast<int>(output_rows.size()); }
};

}  // namespace mmprm
