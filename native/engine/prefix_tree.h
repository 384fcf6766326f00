// Packs token sequences that share beginnings into one tree, so that every shared token is computed once, and
// what a cache holds already not at all.
//
// A node is a run of tokens; a sequence is a path from the root. Positions restart nowhere: a token's
// position is its index in its sequence, so keys keep their absolute places and a packed sequence has the
// same bits as the same sequence alone. Full pages are shared; branches that part inside a page each own a
// copy of that page. Pure: no weights, no memory of earlier calls.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "device/step_plan.h"
#include "engine/picture_axes.h"
#include "engine/token_trie.h"

namespace mmprm {

// The first num_tokens tokens of a sequence lie in these pages (as many as they need).
struct CachedPrefix {
  int num_tokens = 0;
  std::vector<int32_t> pages;
};

struct PageCopy {
  int32_t from = 0, to = 0;
};

// Pages of a trie's node and all above it: plan.pages[first …].
struct PageRun {
  int32_t first = 0, count = 0;
};

struct PackedTree {
  StepPlan plan;                  // without tokens_T: see keys_T
  int num_new_pages = 0;          // of those given, in order
  std::vector<TokenKey> keys_T;   // one per row
  std::vector<RopeAxes> axes_T;   // one per row, where they were given
  std::vector<int32_t> node_T;    // the trie node of each row, index into pages_of
  std::vector<PageRun> pages_of;  // per node
  std::vector<PageCopy> copies;   // to be made before the first row is computed
  std::vector<int32_t> leaf_of;   // per sequence: the node of its last token
  // For each sequence and each of its requested positions: index into plan.output_rows.
  std::vector<std::vector<int32_t>> outputs;

  std::span<const int32_t> pages_of_node(int node) const {
    return std::span(plan.pages).subspan(pages_of[node].first, pages_of[node].count);
  }
};

class PrefixPacker {
 public:
  // wanted[i]: positions of sequence i whose outputs are read; none may lie among its cached tokens.
  // Refers to its arguments until it is gone.
  // axes: of each token of each sequence, where their angles are not those of their positions.
  PrefixPacker(const std::vector<std::vector<TokenKey>>& sequences,
               const std::vector<std::vector<int32_t>>& wanted, const std::vector<CachedPrefix>& cached,
               const std::vector<std::vector<RopeAxes>>& axes = {});

  int num_new_pages() const { return num_new_pages_; }

  // new_pages: ids for the pages that are written.
  PackedTree place(std::span<const int32_t> new_pages) const;

  const TokenTrie& trie() const { return trie_; }

 private:
  int first_new_page(const TokenTrie::Node& node) const;
  int end_page(const TokenTrie::Node& node) const;
  int32_t cached_page(const TokenTrie::Node& node, int index) const;
  void place_pages(std::span<const int32_t> new_pages, PackedTree& out) const;
  void place_rows(PackedTree& out) const;
  void place_outputs(PackedTree& out) const;

  const std::vector<std::vector<int32_t>>& wanted_;
  const std::vector<CachedPrefix>& cached_;
  std::vector<std::vector<RopeAxes>> axes_;
  TokenTrie trie_;
  int num_new_pages_ = 0;
};

// One forward pass over whole sequences, nothing cached, pages numbered from 0. The plan's tokens are left to the caller
// where it has to name rows of pictures. grids: null where all angles are those of positions.
PackedTree pack_sequences(const std::vector<std::vector<TokenKey>>& sequences,
                          const std::vector<std::vector<int32_t>>& wanted, const PictureGrids* grids);

// The same with tokens. image_token: tokens equal to
// it take the rows of the image features in order; -1: none.
PackedTree pack_prefix_tree(const std::vector<std::vector<int32_t>>& sequences,
                            const std::vector<std::vector<int32_t>>& wanted, int32_t image_token);

}  // namespace mmprm
