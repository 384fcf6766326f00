// Decides what each step computes: a pure state machine over page ids and token keys, without weights,
// threads or clocks.
//
// A group is one request: n samples of one prompt, or the sequences of one scoring job. Groups wait in order
// of arrival, are prefilled in slices that take turns, and then decode one row per sample and step, siblings
// side by side. A group that would recompute what another is just computing waits for it. When pages run out,
// unused cache goes first; then the youngest group (a paused one before others) gives up its pages and waits
// again. Its tokens stay, and what it computes again has the same bits, so nothing is lost and nothing
// changes. INVARIANT: a group that was accepted fits alone, and the oldest one is never preempted for others
// unless it is paused; so every group ends.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "engine/prefill.h"
#include "include/engine/engine.h"

namespace mmprm {

struct SchedulerOptions {
  int prefill_rows = 2048;  // per step, while nothing decodes
  int prefill_rows_beside_decode = 256;
  int max_running_samples = 256;        // beyond, groups wait (a single group may be larger)
  const PictureGrids* grids = nullptr;  // of all pictures, where tokens turn by their place in them
};

struct GenerateGroup {
  std::vector<TokenKey> prompt;
  int num_samples = 1;
  int max_tokens = 1;
  std::vector<int32_t> stop_ids;
};

struct ScoreGroup {
  std::vector<std::vector<TokenKey>> sequences;
  std::vector<std::vector<int32_t>> wanted;  // rising positions
  ReadoutId readout;
};

struct SchedulerCounts {
  int64_t steps = 0, decode_rows = 0, prefill_rows = 0, reused_tokens = 0, preemptions = 0;
};

class Scheduler {
 public:
  Scheduler(PagePool& pool, PrefixCache& cache, SchedulerOptions options);
  ~Scheduler();

  // Samples of a prompt that fit into the pages at once, should all reach max_tokens.
  static int max_samples(int num_pages, int prompt_tokens, int max_tokens);
  bool fits(const ScoreGroup& group) const;

  GroupId add(GenerateGroup group);
  GroupId add(ScoreGroup group);
  void remove(GroupId id);  // at any time: frees its pages at once
  void set_paused(GroupId id, bool paused);
  void stop_sample(GroupId id, int sample);  // ended from outside

  bool has_work() const;

  // The next step; empty when every group is paused or waits for memory that paused groups hold.
  Step plan();
  // The step has been computed. Comes before the tokens and scores read from it are told.
  void commit(const Step& step);
  FinishReason append(GroupId id, int sample, int32_t token);
  void set_score(GroupId id, int output, std::vector<float> values);

  bool finished(GroupId id) const;
  // [sequence][wanted][value] of a finished score group.
  std::vector<std::vector<std::vector<float>>> take_scores(GroupId id);
  int num_reused_tokens(GroupId id) const;
  int num_computed_tokens(GroupId id) const;

  const SchedulerCounts& counts() const { return counts_; }
  int num_waiting() const;
  int num_running() const;  // samples of groups that hold pages and are not paused

 private:
  struct Sample;
  struct Group;
  using Uses =
      std::vector<std::pair<int, int>>;  // (sequence, wanted) of a score group, (sample, 0) of the other

  void admit(Step& step);
  bool try_start(Group& group, Step& step);
  bool start(Group& group, bool reuse, int spare, Step& step);
  void count_reused(Group& group, int num_tokens);
  void gather_live_samples(Group& group, Prefill::Sequences& sequences, Prefill::Positions& wanted,
                           std::vector<Uses>& uses) const;
  void gather_unknown_scores(Group& group, Prefill::Sequences& sequences, Prefill::Positions& wanted,
                             std::vector<Uses>& uses);
  bool shares_with_running(const Group& group) const;
  void reserve_decode_pages(Step& step);
  bool reserve_row(Group& group, Sample& sample, Step& step);
  int32_t take_page(Group& group);
  void preempt(Group& group);
  void emit_decode_rows(Step& step);
  void emit_prefill(Step& step);
  void finish_prefill(Group& group);
  void finish_sample(Group& group, Sample& sample);
  int spare_pages() const;
  Group& group_of(GroupId id) { return *groups_.at(id); }

  PagePool& pool_;
  PrefixCache& cache_;
  SchedulerOptions options_;
  std::map<GroupId, std::unique_ptr<Group>> groups_;  // by arrival
  std::vector<GroupId> prefilling_;                   // whose turn comes first
  GroupId next_id_ = 1;
  SchedulerCounts counts_;
};

}  // namespace mmprm
