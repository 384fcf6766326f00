#include "engine/prefill.h"

#include <algorithm>

namespace mmprm {

Prefill::Prefill(Sequences sequences, PagePool& pool, PrefixCache& cache)
    : sequences_(std::move(sequences)), pool_(pool), cache_(cache) {}

Prefill::~Prefill() {
  for (int32_t page : held_) pool_.release(page);
}

int Prefill::pages_needed(const Sequences& sequences) {
  const Positions no_outputs;
  const std::vector<CachedPrefix> nothing(sequences.size());
  return PrefixPacker(sequences, no_outputs, nothing).num_new_pages();
}

std::unique_ptr<Prefill> Prefill::try_start(Sequences sequences, Positions wanted, bool reuse,
                                            int spare_pages, const PictureGrids* grids, PagePool& pool,
                                            PrefixCache& cache, std::vector<PageOp>& ops) {
  std::unique_ptr<Prefill> self(new Prefill(std::move(sequences), pool, cache));
  std::vector<CachedPrefix> cached(self->sequences_.size());
  for (size_t i = 0; reuse && i < cached.size(); ++i) {
    const std::span<const TokenKey> keys = self->sequences_[i];
    // WHY only so far: a position that is read out must be computed.
    const PrefixMatch found = cache.match(wanted[i].empty() ? keys : keys.first(wanted[i].front()));
    cached[i] = {found.num_tokens, found.pages};
    for (int32_t page : found.pages) {
      pool.retain(page);
      self->held_.push_back(page);
    }
  }
  std::vector<std::vector<RopeAxes>> axes;
  for (size_t i = 0; grids && i < cached.size(); ++i) axes.push_back(axes_of(self->sequences_[i], *grids));
  const PrefixPacker packer(self->sequences_, wanted, cached, axes);
  const int num_new = packer.num_new_pages();
  if (!cache.make_room(num_new + spare_pages)) return nullptr;

  std::vector<int32_t> new_pages;
  for (int i = 0; i < num_new; ++i) {
    new_pages.push_back(pool.try_allocate());
    ops.push_back({-1, new_pages.back()});
  }
  self->held_.insert(self->held_.end(), new_pages.begin(), new_pages.end());
  self->tree_ = packer.place(new_pages);
  for (const PageCopy& copy : self->tree_.copies) ops.push_back({copy.from, copy.to});

  const TokenTrie& trie = packer.trie();
  for (int n = 0; n < trie.num_nodes(); ++n) {
    const TokenTrie::Node& node = trie.node(n);
    const int num_computed = node.end() - node.first_computed();
    self->num_reused_tokens_ += static_cast<int>(node.keys.size()) - num_computed;
    self->sequence_of_node_.push_back(node.sequence);
    self->node_end_.push_back(node.end());
    self->node_last_row_.push_back(node.first_row + num_computed - 1);
  }
  return self;
}

void Prefill::emit(int num_rows, Step& step, const std::function<StepOutput(int)>& on_output) const {
  const StepPlan& plan = tree_.plan;
  const int end = next_row_ + num_rows;
  auto output = std::lower_bound(plan.output_rows.begin(), plan.output_rows.end(), next_row_);
  int node = -1;
  KeyRun seen;
  for (int row = next_row_; row < end; ++row) {
    if (tree_.node_T[row] != node) {
      node = tree_.node_T[row];
      seen.first = step.add_pages(tree_.pages_of_node(node));
    }
    seen.num_keys = plan.keys_T[row].num_keys;
    const RopeAxes at = tree_.axes_T.empty() ? RopeAxes::text(plan.positions_T[row]) : tree_.axes_T[row];
    step.add_row(tree_.keys_T[row], at, seen);
    for (int i = plan.slot_begin_T1[row]; i < plan.slot_begin_T1[row + 1]; ++i) step.add_slot(plan.slots[i]);
    if (output == plan.output_rows.end() || *output != row) continue;
    step.plan.output_rows.push_back(step.plan.num_rows() - 1);
    step.outputs.push_back(on_output(static_cast<int>(output++ - plan.output_rows.begin())));
  }
}

void Prefill::advance(int num_rows) {
  const int end = next_row_ + num_rows;
  for (int row = next_row_; row < end;) {
    const int node = tree_.node_T[row], last = node_last_row_[node];
    if (last < end) {
      publish_node(node, node_end_[node]);
    } else {
      const int num_tokens = tree_.plan.positions_T[end - 1] + 1;
      publish_node(node, num_tokens - num_tokens % kPageTokens);
    }
    row = last + 1;
  }
  next_row_ = end;
}

void Prefill::publish_node(int node, int num_tokens) {
  const std::span<const TokenKey> keys = sequences_[sequence_of_node_[node]];
  cache_.publish(keys.first(num_tokens), tree_.pages_of_node(node));
}

std::span<const int32_t> Prefill::pages_of_sequence(int sequence) const {
  const size_t num_pages = (sequences_[sequence].size() + kPageTokens - 1) / kPageTokens;
  return tree_.pages_of_node(tree_.leaf_of[sequence]).first(num_pages);
}

}  // namespace mmprm
