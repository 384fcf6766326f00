// How attention's work is cut, once per step for all layers: which rows meet which chunks together.
//
// Nothing here changes a bit of a result: a row's chunks are always the same and merge in the same order, whether one
// item walks them all or each is an item of its own whose partial result is merged later.
#pragma once
#include <span>
#include <vector>

#include "device/step_plan.h"

namespace mmprm::cuda {

// One row of the plan inside an item. Partial results of a row lie behind each other, one for each chunk that it sees.
struct AttendRow {
  int32_t row = 0;       // of the plan: keys, q
  int32_t out = 0;       // row of o
  int32_t partials = 0;  // chunk c's has the number partials + c
};

// Rows that have the same pages in every chunk of the item, as far as each reaches.
struct AttendItem {
  int32_t first_row = 0, num_rows = 0;      // rows[first_row …]
  int32_t first_chunk = 0, num_chunks = 0;  // chunks from left to right
  int32_t longest = 0;                      // the row of the plan that reaches farthest: its pages are read
  int32_t partial = 0;                      // 1: one chunk, whose result is kept for merging; 0: writes o
};

struct AttendWork {
  std::vector<AttendItem> items;  // the longest first
  std::vector<AttendRow> rows;
  std::vector<AttendRow> merges;  // rows that have partial results
  int num_partials = 0;
};

struct AttendLimits {
  int rows_per_item = 16;  // rows of the plan: 64 / (query heads per key head)
  int max_partials = 0;    // what there is room for
  int wanted_items = 32;   // enough to fill the device: with fewer, chunks become items of their own
  int window = 0;          // keys that a row sees, its own among them; 0: all
};

// `rows`: what attends, as rows of the plan; o's row i is rows[i].
AttendWork plan_attention(const StepPlan& plan, std::span<const int32_t> rows, const AttendLimits& limits);

}  // namespace mmprm::cuda
