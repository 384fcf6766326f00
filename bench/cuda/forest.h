// What a decoder is asked for: plans of prompts, of branches behind them and of whole trees.
#pragma once
#include "device/step_plan.h"
#include "models/decoder.h"

namespace mmprm {

// Groups of branches behind a common beginning, in pages that are numbered as they are needed.
class Forest {
 public:
  Forest(const DecoderSpec& spec, int groups, int branches, int prefix, int own)
      : vocab_(spec.vocab_V), groups_(groups), branches_(branches), prefix_(prefix), own_(own) {}

  int pages_per_branch() const { return (own_ + 1 + kPageTokens - 1) / kPageTokens; }
  int pages_per_group() const { return prefix_ / kPageTokens + branches_ * pages_per_branch(); }
  int num_pages() const { return groups_ * pages_per_group(); }

  // The beginning of a group.
  StepPlan prefix_plan(int group) const {
    StepPlan plan = empty_plan();
    for (int i = 0; i < prefix_ / kPageTokens; ++i) plan.pages.push_back(first_page(group) + i);
    for (int p = 0; p < prefix_; ++p) add_row(plan, 0, p, first_page(group) + p / kPageTokens);
    plan.output_rows = {prefix_ - 1};
    plan.head_outputs = {0};
    return plan;
  }
  // All tokens of a group's branches but their last; two logits after every `every` of them.
  StepPlan branches_plan(int group, int every) const {
    StepPlan plan = empty_plan();
    for (int b = 0; b < branches_; ++b) {
      const int first = int(plan.pages.size());
      add_pages(plan, group, b);
      for (int i = 0; i < own_; ++i) {
        const int p = prefix_ + i;
        if ((i + 1) % every == 0) {
          plan.pair_outputs.push_back({int32_t(plan.output_rows.size()), {1, 2}});
          plan.output_rows.push_back(plan.num_rows());
        }
        add_row(plan, first, p, plan.pages[size_t(first + p / kPageTokens)]);
      }
    }
    return plan;
  }
  // The beginning and the branches at once, as solutions are scored.
  StepPlan tree_plan(int every) const {
    StepPlan plan = branches_plan(0, every), prefix = prefix_plan(0);
    const int offset = int(plan.pages.size());
    plan.pages.insert(plan.pages.end(), prefix.pages.begin(), prefix.pages.end());
    for (int p = 0; p < prefix_; ++p) add_row(plan, offset, p, prefix.pages[size_t(p / kPageTokens)]);
    return plan;
  }
  // The next token of every branch.
  StepPlan decode_plan() const {
    StepPlan plan = empty_plan();
    for (int g = 0; g < groups_; ++g) {
      for (int b = 0; b < branches_; ++b) {
        const int first = int(plan.pages.size()), p = prefix_ + own_;
        add_pages(plan, g, b);
        plan.output_rows.push_back(plan.num_rows());
        plan.head_outputs.push_back(int32_t(plan.head_outputs.size()));
        add_row(plan, first, p, plan.pages[size_t(first + p / kPageTokens)]);
      }
    }
    return plan;
  }

 private:
  static StepPlan empty_plan() {
    StepPlan plan;
    plan.slot_begin_T1 = {0};
    return plan;
  }
  int first_page(int group) const { return group * pages_per_group(); }
  void add_pages(StepPlan& plan, int group, int branch) const {
    for (int i = 0; i < prefix_ / kPageTokens; ++i) plan.pages.push_back(first_page(group) + i);
    const int own = first_page(group) + prefix_ / kPageTokens + branch * pages_per_branch();
    for (int i = 0; i < pages_per_branch(); ++i) plan.pages.push_back(own + i);
  }
  void add_row(StepPlan& plan, int first, int position, int page) const {
    plan.tokens_T.push_back(int32_t((position * 2654435761u + uint32_t(page) * 40503u) >> 8) % vocab_);
    plan.positions_T.push_back(position);
    plan.keys_T.push_back({first, position + 1});
    plan.slots.push_back({page, position % kPageTokens});
    plan.slot_begin_T1.push_back(int32_t(plan.slots.size()));
  }

  int vocab_, groups_, branches_, prefix_, own_;
};

}  // namespace mmprm
