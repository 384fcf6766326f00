// One step of the engine: a forward pass over rows of many requests, and what to do with its output rows.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "device/step_plan.h"
#include "engine/token_key.h"

namespace mmprm {

using GroupId = int64_t;

struct StepOutput {
  GroupId group = 0;
  std::vector<int> samples;  // samples that take their next token here; empty for scores
  int score = -1;            // which output of a score group
};

struct Step {
  StepPlan plan;
  std::vector<TokenKey> image_rows;  // row r is meant by token -1 - r of the plan
  std::vector<StepOutput> outputs;   // one per plan.output_rows

  struct Slice {
    GroupId group;
    int num_rows;
  };
  std::vector<Slice> prefill;
  int num_decode_rows = 0;

  bool empty() const { return plan.tokens_T.empty(); }

  // The pages of rows that follow: what their KeyRun begins at.
  int32_t add_pages(std::span<const int32_t> pages) {
    const int32_t first = static_cast<int32_t>(plan.pages.size());
    plan.pages.insert(plan.pages.end(), pages.begin(), pages.end());
    return first;
  }
  void add_row(TokenKey key, RopeAxes at, KeyRun seen) {
    if (is_image(key)) image_rows.push_back(key);
    if (!at.is_text() && plan.axes_T.empty())
      for (int32_t position : plan.positions_T) plan.axes_T.push_back(RopeAxes::text(position));
    if (!at.is_text() || !plan.axes_T.empty()) plan.axes_T.push_back(at);
    plan.tokens_T.push_back(is_image(key) ? -static_cast<int32_t>(image_rows.size()) : token_of(key));
    plan.positions_T.push_back(at.time);
    plan.keys_T.push_back(seen);
    if (plan.slot_begin_T1.empty()) plan.slot_begin_T1.push_back(0);
    plan.slot_begin_T1.push_back(static_cast<int32_t>(plan.slots.size()));
  }
  void add_slot(Slot slot) {  // of the row added last
    plan.slots.push_back(slot);
    ++plan.slot_begin_T1.back();
  }
};

}  // namespace mmprm
