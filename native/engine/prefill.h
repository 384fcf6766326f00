// The prefill of one request: the packed tree of its sequences, the pages it holds, and how far it has come.
// What is computed is published at once, so that requests with the same beginning find it.
#pragma once
#include <functional>
#include <memory>

#include "engine/prefix_cache.h"
#include "engine/prefix_tree.h"
#include "engine/step.h"

namespace mmprm {

class Prefill {
 public:
  using Sequences = std::vector<std::vector<TokenKey>>;
  using Positions = std::vector<std::vector<int32_t>>;

  // How many pages the sequences take when nothing is cached.
  static int pages_needed(const Sequences& sequences);

  // Finds what is cached (unless `reuse` is off) before each sequence's first wanted position, and takes
  // pages for the rest while `spare_pages` others stay free. Null when there is no room. Appends to `ops`.
  // grids: null where all angles are those of positions.
  static std::unique_ptr<Prefill> try_start(Sequences sequences, Positions wanted, bool reuse,
                                            int spare_pages, const PictureGrids* grids, PagePool& pool,
                                            PrefixCache& cache, std::vector<PageOp>& ops);
  ~Prefill();
  Prefill(const Prefill&) = delete;
  Prefill& operator=(const Prefill&) = delete;

  int num_rows() const { return static_cast<int>(tree_.keys_T.size()); }
  int rows_left() const { return num_rows() - next_row_; }
  int num_reused_tokens() const { return num_reused_tokens_; }
  const Sequences& sequences() const { return sequences_; }

  // Index of the output of wanted position j of sequence i, and how many different ones there are.
  int output_of(int sequence, int wanted) const { return tree_.outputs[sequence][wanted]; }
  int num_outputs() const { return static_cast<int>(tree_.plan.output_rows.size()); }

  // Adds the next rows to the step; on_output(index) is called for each of their outputs, in order.
  void emit(int num_rows, Step& step, const std::function<StepOutput(int)>& on_output) const;

  // The rows have been computed.
  void advance(int num_rows);

  // Pages of a whole sequence, for its owner to retain.
  std::span<const int32_t> pages_of_sequence(int sequence) const;

 private:
  Prefill(Sequences sequences, PagePool& pool, PrefixCache& cache);
  void publish_node(int node, int num_tokens);

  Sequences sequences_;
  PagePool& pool_;
  PrefixCache& cache_;
  std::vector<int> sequence_of_node_, node_end_, node_last_row_;
  std::vector<int32_t> held_;  // pages with a reference of ours
  PackedTree tree_;
  int next_row_ = 0, num_reused_tokens_ = 0;
};

}  // namespace mmprm
