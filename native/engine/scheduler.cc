#include "engine/scheduler.h"

#include <algorithm>

#include "engine/scheduler_group.h"

namespace mmprm {
namespace {

int pages_of(int num_tokens) { return (num_tokens + kPageTokens - 1) / kPageTokens; }

}  // namespace

Scheduler::Scheduler(PagePool& pool, PrefixCache& cache, SchedulerOptions options)
    : pool_(pool), cache_(cache), options_(options) {}

Scheduler::~Scheduler() {
  while (!groups_.empty()) remove(groups_.begin()->first);
}

// Full pages of the prompt are shared; each sample owns what follows, and one page more where it parts from
// others inside a page after it was preempted. The prompt's own last page is the one added.
int Scheduler::max_samples(int num_pages, int prompt_tokens, int max_tokens) {
  const int shared = prompt_tokens / kPageTokens;
  const int own = pages_of(prompt_tokens + max_tokens - 1) - shared + 1;
  return std::max(0, (num_pages - shared - 1) / own);
}

bool Scheduler::fits(const ScoreGroup& group) const {
  return Prefill::pages_needed(group.sequences) <= pool_.num_pages();
}

GroupId Scheduler::add(GenerateGroup spec) {
  auto group = std::make_unique<Group>();
  group->id = next_id_++;
  group->samples.resize(spec.num_samples);
  const int offset = options_.grids ? axes_of(spec.prompt, *options_.grids).back().time -
                                          static_cast<int>(spec.prompt.size())
                                    : 0;
  for (Sample& sample : group->samples) {
    sample.keys = spec.prompt;
    sample.angle_offset = offset;
  }
  std::sort(spec.stop_ids.begin(), spec.stop_ids.end());
  group->generate = std::move(spec);
  const GroupId id = group->id;
  groups_[id] = std::move(group);
  return id;
}

GroupId Scheduler::add(ScoreGroup spec) {
  auto group = std::make_unique<Group>();
  group->id = next_id_++;
  for (const std::vector<int32_t>& wanted : spec.wanted) group->values.emplace_back(wanted.size());
  group->score = std::move(spec);
  const GroupId id = group->id;
  groups_[id] = std::move(group);
  return id;
}

void Scheduler::remove(GroupId id) {
  const auto it = groups_.find(id);
  if (it == groups_.end()) return;
  for (Sample& sample : it->second->samples) {
    for (int32_t page : sample.pages) pool_.release(page);
  }
  std::erase(prefilling_, id);
  groups_.erase(it);
}

void Scheduler::set_paused(GroupId id, bool paused) { group_of(id).paused = paused; }

void Scheduler::stop_sample(GroupId id, int sample) {
  Group& group = group_of(id);
  if (!group.samples[sample].done) finish_sample(group, group.samples[sample]);
}

bool Scheduler::has_work() const {
  return std::any_of(groups_.begin(), groups_.end(), [](const auto& entry) {
    return !entry.second->paused && entry.second->state != Group::State::kDone;
  });
}

Step Scheduler::plan() {
  Step step;
  reserve_decode_pages(step);
  admit(step);
  emit_decode_rows(step);
  emit_prefill(step);
  return step;
}

// Pages that running samples may want soon are left to them, or a group would be
// admitted only to be preempted.
int Scheduler::spare_pages() const { return num_running(); }

void Scheduler::admit(Step& step) {
  bool samples_wait = false;  // no later group may pass one that waits for its turn
  for (auto& [id, group] : groups_) {
    if (group->state != Group::State::kWaiting || group->paused) continue;
    const int num_samples = group->num_live_samples(), running = num_running();
    samples_wait |= num_samples > 0 && running > 0 && running + num_samples > options_.max_running_samples;
    if (samples_wait && num_samples > 0) continue;
    if (shares_with_running(*group)) continue;
    if (!try_start(*group, step)) return;  // in order of arrival: a small one must not starve a large one
  }
}

// Whether one of the groups in prefill is about to publish more of this group's beginning than is cached now.
bool Scheduler::shares_with_running(const Group& group) const {
  const auto& own = group.generate ? group.samples.front().keys : group.score->sequences.front();
  int longest = 0;
  for (GroupId id : prefilling_) {
    const Group& other = *groups_.at(id);
    if (other.paused) continue;
    const std::vector<TokenKey>& keys = other.prefill->sequences().front();
    const size_t most = std::min(own.size(), keys.size());
    longest = std::max<int>(longest,
                            std::mismatch(own.begin(), own.begin() + most, keys.begin()).first - own.begin());
  }
  return longest >= kPageTokens && cache_.match(own).num_tokens < longest - longest % kPageTokens;
}

// Allocates the pages that this step's decode rows write to, oldest groups first.
void Scheduler::reserve_decode_pages(Step& step) {
  for (auto& [id, group] : groups_) {
    if (group->state != Group::State::kDecode || group->paused) continue;
    for (Sample& sample : group->samples) {
      if (sample.done) continue;
      if (!reserve_row(*group, sample, step)) break;  // preempted itself
    }
  }
}

bool Scheduler::reserve_row(Group& group, Sample& sample, Step& step) {
  const bool fresh = sample.num_computed % kPageTokens == 0;
  if (fresh && static_cast<int>(sample.pages.size()) * kPageTokens > sample.num_computed) return true;
  if (!fresh && pool_.references(sample.pages.back()) == 1) return true;
  const int32_t page = take_page(group);
  if (page < 0) return false;
  if (fresh) {
    step.plan.page_ops.push_back({-1, page});
    sample.pages.push_back(page);
  } else {
    step.plan.page_ops.push_back({sample.pages.back(), page});
    pool_.release(sample.pages.back());
    sample.pages.back() = page;
  }
  return true;
}

// A free page for `group`, whatever it takes; -1 when the group itself had to give way.
int32_t Scheduler::take_page(Group& group) {
  for (;;) {
    if (cache_.make_room(1)) return pool_.try_allocate();
    Group* victim = &group;
    for (auto& [id, other] : groups_) {
      if (!other->holds_pages()) continue;
      const bool better = other->paused != victim->paused ? other->paused : other->id > victim->id;
      if (better) victim = other.get();
    }
    preempt(*victim);
    if (victim == &group) return -1;
  }
}

void Scheduler::preempt(Group& group) {
  ++counts_.preemptions;
  group.prefill.reset();
  std::erase(prefilling_, group.id);
  for (Sample& sample : group.samples) {
    if (sample.done || sample.pages.empty()) continue;
    cache_.publish(std::span(sample.keys).first(sample.num_computed), sample.pages);
    for (int32_t page : sample.pages) pool_.release(page);
    sample.pages.clear();
    sample.num_computed = 0;
  }
  group.state = Group::State::kWaiting;
}

void Scheduler::emit_decode_rows(Step& step) {
  for (auto& [id, group] : groups_) {
    if (group->state != Group::State::kDecode || group->paused) continue;
    for (size_t i = 0; i < group->samples.size(); ++i) {
      const Sample& sample = group->samples[i];
      if (sample.done) continue;
      const int position = sample.num_computed;
      step.add_row(sample.keys[position], RopeAxes::text(position + sample.angle_offset),
                   {step.add_pages(sample.pages), position + 1});
      step.add_slot({sample.pages.back(), position % kPageTokens});
      step.plan.output_rows.push_back(step.num_decode_rows++);
      step.outputs.push_back({id, {static_cast<int>(i)}, -1});
    }
  }
}

void Scheduler::commit(const Step& step) {
  ++counts_.steps;
  counts_.decode_rows += step.num_decode_rows;
  for (int i = 0; i < step.num_decode_rows; ++i) {
    const StepOutput& output = step.outputs[i];
    ++group_of(output.group).samples[output.samples[0]].num_computed;
  }
  for (const Step::Slice& slice : step.prefill) {
    Group& group = group_of(slice.group);
    counts_.prefill_rows += slice.num_rows;
    group.num_computed_tokens += slice.num_rows;
    group.prefill->advance(slice.num_rows);
    if (group.prefill->rows_left() == 0) finish_prefill(group);
  }
}

FinishReason Scheduler::append(GroupId id, int index, int32_t token) {
  Group& group = group_of(id);
  Sample& sample = group.samples[index];
  sample.keys.push_back(text_key(token));
  ++sample.num_generated;
  const std::vector<int32_t>& stops = group.generate->stop_ids;
  FinishReason reason = FinishReason::kNone;
  if (std::binary_search(stops.begin(), stops.end(), token)) {
    reason = FinishReason::kStop;
  } else if (sample.num_generated >= group.generate->max_tokens) {
    reason = FinishReason::kLength;
  }
  if (reason != FinishReason::kNone) finish_sample(group, sample);
  return reason;
}

void Scheduler::finish_sample(Group& group, Sample& sample) {
  sample.done = true;
  cache_.publish(std::span(sample.keys).first(sample.num_computed), sample.pages);
  for (int32_t page : sample.pages) pool_.release(page);
  sample.pages.clear();
  if (group.num_live_samples() > 0) return;
  group.prefill.reset();
  std::erase(prefilling_, group.id);
  group.state = Group::State::kDone;
}

bool Scheduler::finished(GroupId id) const { return groups_.at(id)->state == Group::State::kDone; }
int Scheduler::num_reused_tokens(GroupId id) const { return groups_.at(id)->num_reused_tokens; }
int Scheduler::num_computed_tokens(GroupId id) const { return groups_.at(id)->num_computed_tokens; }

int Scheduler::num_waiting() const {
  return static_cast<int>(std::count_if(groups_.begin(), groups_.end(), [](const auto& entry) {
    return entry.second->state == Group::State::kWaiting;
  }));
}

int Scheduler::num_running() const {
  int running = 0;
  for (const auto& [id, group] : groups_) {
    if (group->holds_pages() && !group->paused) running += group->num_live_samples();
  }
  return running;
}

}  // namespace mmprm
