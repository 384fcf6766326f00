// The scheduler's side of prefill: starting groups, slicing their rows into steps,
// and what follows the last row.
#include <algorithm>

#include "engine/scheduler_group.h"

namespace mmprm {

bool Scheduler::try_start(Group& group, Step& step) {
  const auto holds = [](bool paused) {
    return [paused](const auto& e) { return e.second->holds_pages() && e.second->paused == paused; };
  };
  if (start(group, true, spare_pages(), step)) return true;
  if (std::any_of(groups_.begin(), groups_.end(), holds(false))) return false;
  // Nothing that runs will ever free a page: groups that are paused give way, then even what could be reused.
  for (auto& [id, other] : groups_) {
    if (other->holds_pages()) preempt(*other);
  }
  return start(group, true, 0, step) || start(group, false, 0, step);
}

bool Scheduler::start(Group& group, bool reuse, int spare, Step& step) {
  Prefill::Sequences sequences;
  Prefill::Positions wanted;
  std::vector<Uses> uses;  // of each sequence's wanted positions
  if (group.score) {
    gather_unknown_scores(group, sequences, wanted, uses);
    if (sequences.empty()) return true;
  } else {
    gather_live_samples(group, sequences, wanted, uses);
  }
  group.prefill = Prefill::try_start(std::move(sequences), std::move(wanted), reuse, spare, options_.grids,
                                     pool_, cache_, step.plan.page_ops);
  if (!group.prefill) return false;
  group.uses_of_output.assign(group.prefill->num_outputs(), {});
  for (size_t i = 0; i < uses.size(); ++i) {
    for (size_t j = 0; j < uses[i].size(); ++j) {
      group.uses_of_output[group.prefill->output_of(static_cast<int>(i), static_cast<int>(j))].push_back(
          uses[i][j]);
    }
  }
  group.state = Group::State::kPrefill;
  prefilling_.push_back(group.id);
  count_reused(group, group.prefill->num_reused_tokens());
  return true;
}

void Scheduler::count_reused(Group& group, int num_tokens) {
  group.num_reused_tokens += num_tokens;
  counts_.reused_tokens += num_tokens;
}

void Scheduler::gather_live_samples(Group& group, Prefill::Sequences& sequences, Prefill::Positions& wanted,
                                    std::vector<Uses>& uses) const {
  group.sample_of_sequence.clear();
  for (int i = 0; i < static_cast<int>(group.samples.size()); ++i) {
    const Sample& sample = group.samples[i];
    if (sample.done) continue;
    group.sample_of_sequence.push_back(i);
    sequences.push_back(sample.keys);
    wanted.push_back({static_cast<int32_t>(sample.keys.size()) - 1});
    uses.push_back({{i, 0}});
  }
}

// Only sequences with scores still unknown are computed, each up to the last of them.
// With none, the group is done.
void Scheduler::gather_unknown_scores(Group& group, Prefill::Sequences& sequences, Prefill::Positions& wanted,
                                      std::vector<Uses>& uses) {
  const ScoreGroup& score = *group.score;
  int num_known_tokens = 0;
  for (size_t i = 0; i < score.sequences.size(); ++i) {
    const std::vector<TokenKey>& keys = score.sequences[i];
    const PrefixMatch found = cache_.match(keys);
    std::vector<int32_t> unknown;
    Uses unknown_uses;
    for (size_t j = 0; j < score.wanted[i].size(); ++j) {
      std::vector<float>& values = group.values[i][j];
      const std::vector<float>* known = cache_.recall(found, score.wanted[i][j], score.readout);
      if (values.empty() && known) values = *known;
      if (!values.empty()) continue;
      unknown.push_back(score.wanted[i][j]);
      unknown_uses.push_back({static_cast<int>(i), static_cast<int>(j)});
    }
    if (unknown.empty()) {
      num_known_tokens += static_cast<int>(keys.size());
      continue;
    }
    sequences.emplace_back(keys.begin(), keys.begin() + unknown.back() + 1);
    wanted.push_back(std::move(unknown));
    uses.push_back(std::move(unknown_uses));
  }
  if (!sequences.empty()) return;
  count_reused(group, num_known_tokens);
  group.state = Group::State::kDone;
}

void Scheduler::emit_prefill(Step& step) {
  int budget = step.num_decode_rows > 0 ? options_.prefill_rows_beside_decode : options_.prefill_rows;
  for (GroupId id : prefilling_) {
    Group& group = group_of(id);
    if (group.paused) continue;
    const int num_rows = std::min(budget, group.prefill->rows_left());
    group.prefill->emit(num_rows, step, [&](int output) {
      StepOutput out{id, {}, -1};
      if (group.score) {
        out.score = output;
      } else {
        for (const auto& [sample, unused] : group.uses_of_output[output]) {
          if (!group.samples[sample].done) out.samples.push_back(sample);
        }
      }
      return out;
    });
    step.prefill.push_back({id, num_rows});
    budget -= num_rows;
    if (budget == 0) break;
  }
  // Whoever had the first turn has the last one next time.
  if (prefilling_.size() > 1) std::rotate(prefilling_.begin(), prefilling_.begin() + 1, prefilling_.end());
}

void Scheduler::finish_prefill(Group& group) {
  for (int i = 0; !group.score && i < static_cast<int>(group.sample_of_sequence.size()); ++i) {
    Sample& sample = group.samples[group.sample_of_sequence[i]];
    if (sample.done) continue;
    const std::span<const int32_t> pages = group.prefill->pages_of_sequence(i);
    sample.pages.assign(pages.begin(), pages.end());
    for (int32_t page : pages) pool_.retain(page);
    // WHY not all of its keys: a sample whose last row came in an earlier slice has taken a token since.
    sample.num_computed = static_cast<int>(group.prefill->sequences()[i].size());
  }
  group.prefill.reset();
  std::erase(prefilling_, group.id);
  // A score group is done once its last scores have been told, which they are before anyone asks.
  group.state = group.score ? Group::State::kDone : Group::State::kDecode;
}

void Scheduler::set_score(GroupId id, int output, std::vector<float> values) {
  Group& group = group_of(id);
  for (const auto& [sequence, wanted] : group.uses_of_output[output]) {
    group.values[sequence][wanted] = values;
    cache_.remember(group.score->sequences[sequence], group.score->wanted[sequence][wanted],
                    group.score->readout, values);
  }
}

std::vector<std::vector<std::vector<float>>> Scheduler::take_scores(GroupId id) {
  return std::move(group_of(id).values);
}

}  // namespace mmprm
