#include "engine/prefix_tree.h"

#include <algorithm>
#include <numeric>

namespace mmprm {
namespace {

std::vector<int> cached_lengths(const std::vector<CachedPrefix>& cached) {
  std::vector<int> lengths;
  for (const CachedPrefix& c : cached) lengths.push_back(c.num_tokens);
  return lengths;
}

int pages_of(int num_tokens) { return (num_tokens + kPageTokens - 1) / kPageTokens; }

}  // namespace

PrefixPacker::PrefixPacker(const std::vector<std::vector<TokenKey>>& sequences,
                           const std::vector<std::vector<int32_t>>& wanted,
                           const std::vector<CachedPrefix>& cached,
                           const std::vector<std::vector<RopeAxes>>& axes)
    : wanted_(wanted), cached_(cached), axes_(axes), trie_(sequences, cached_lengths(cached)) {
  for (int index : trie_.order()) {
    const TokenTrie::Node& node = trie_.node(index);
    num_new_pages_ += end_page(node) - first_new_page(node);
  }
}

// The page in which a node starts is its own, unless the cache holds all of it.
int PrefixPacker::first_new_page(const TokenTrie::Node& node) const {
  return std::max(node.start, node.cached) / kPageTokens;
}

// A node of which nothing is computed needs no page for a last, partly cached one: its children copy it.
int PrefixPacker::end_page(const TokenTrie::Node& node) const {
  return node.first_computed() == node.end() ? first_new_page(node) : pages_of(node.end());
}

int32_t PrefixPacker::cached_page(const TokenTrie::Node& node, int index) const {
  return cached_[node.sequence].pages[index];
}

PackedTree PrefixPacker::place(std::span<const int32_t> new_pages) const {
  PackedTree out;
  place_pages(new_pages, out);
  place_rows(out);
  place_outputs(out);
  return out;
}

void PrefixPacker::place_pages(std::span<const int32_t> new_pages, PackedTree& out) const {
  StepPlan& plan = out.plan;
  std::vector<std::vector<Slot>> slots_of_row(trie_.num_rows());
  out.pages_of.resize(trie_.num_nodes());
  for (int index : trie_.order()) {
    const TokenTrie::Node& node = trie_.node(index);
    if (node.keys.empty()) continue;
    const int first = first_new_page(node), end = end_page(node), num_cached = node.cached / kPageTokens;
    out.pages_of[index] = {static_cast<int32_t>(plan.pages.size()), end};
    for (int p = 0; p < first; ++p) {
      const int32_t inherited = p < num_cached ? cached_page(node, p) : out.pages_of_node(node.parent)[p];
      plan.pages.push_back(inherited);
    }
    for (int p = first; p < end; ++p) {
      const int32_t page = new_pages[out.num_new_pages++];
      plan.pages.push_back(page);
      const int begin = p * kPageTokens;
      if (begin < node.cached) out.copies.push_back({cached_page(node, p), page});
      for (int i = std::max(begin, node.cached); i < std::min(begin + kPageTokens, node.end()); ++i) {
        slots_of_row[trie_.row_at(index, i)].push_back({page, i - begin});
      }
    }
  }
  plan.slot_begin_T1.push_back(0);
  for (const std::vector<Slot>& slots : slots_of_row) {
    plan.slots.insert(plan.slots.end(), slots.begin(), slots.end());
    plan.slot_begin_T1.push_back(static_cast<int32_t>(plan.slots.size()));
  }
}

void PrefixPacker::place_rows(PackedTree& out) const {
  for (int index : trie_.order()) {
    const TokenTrie::Node& node = trie_.node(index);
    for (int position = node.first_computed(); position < node.end(); ++position) {
      out.keys_T.push_back(node.keys[position - node.start]);
      out.node_T.push_back(index);
      out.plan.positions_T.push_back(position);
      if (!axes_.empty()) out.axes_T.push_back(axes_[node.sequence][position]);
      out.plan.keys_T.push_back({out.pages_of[index].first, position + 1});
    }
  }
}

void PrefixPacker::place_outputs(PackedTree& out) const {
  for (size_t i = 0; i < wanted_.size(); ++i) {
    out.leaf_of.push_back(trie_.leaf_of(i));
    out.outputs.emplace_back();
    for (int32_t position : wanted_[i])
      out.outputs.back().push_back(trie_.row_at(out.leaf_of.back(), position));
  }
  std::vector<int32_t>& output_rows = out.plan.output_rows;
  for (const std::vector<int32_t>& rows : out.outputs)
    output_rows.insert(output_rows.end(), rows.begin(), rows.end());
  std::sort(output_rows.begin(), output_rows.end());
  output_rows.erase(std::unique(output_rows.begin(), output_rows.end()), output_rows.end());
  for (std::vector<int32_t>& rows : out.outputs) {
    for (int32_t& row : rows) {
      row = static_cast<int32_t>(std::lower_bound(output_rows.begin(), output_rows.end(), row) -
                                 output_rows.begin());
    }
  }
}

PackedTree pack_sequences(const std::vector<std::vector<TokenKey>>& sequences,
                          const std::vector<std::vector<int32_t>>& wanted, const PictureGrids* grids) {
  std::vector<std::vector<RopeAxes>> axes;
  for (size_t i = 0; grids && i < sequences.size(); ++i) axes.push_back(axes_of(sequences[i], *grids));
  const std::vector<CachedPrefix> nothing(sequences.size());
  const PrefixPacker packer(sequences, wanted, nothing, axes);
  std::vector<int32_t> new_pages(packer.num_new_pages());
  std::iota(new_pages.begin(), new_pages.end(), 0);
  PackedTree tree = packer.place(new_pages);
  tree.plan.axes_T = tree.axes_T;
  // INVARIANT: slots that no row fills hold finite numbers, whatever an earlier pass left there.
  std::vector<int> num_filled(tree.num_new_pages);
  for (const Slot& slot : tree.plan.slots) ++num_filled[slot.page];
  for (int32_t page = 0; page < tree.num_new_pages; ++page) {
    if (num_filled[page] < kPageTokens) tree.plan.page_ops.push_back({-1, page});
  }
  return tree;
}

PackedTree pack_prefix_tree(const std::vector<std::vector<int32_t>>& sequences,
                            const std::vector<std::vector<int32_t>>& wanted, int32_t image_token) {
  std::vector<std::vector<TokenKey>> keys;
  for (const std::vector<int32_t>& tokens : sequences) {
    keys.emplace_back();
    uint32_t image_row = 0;
    for (int32_t token : tokens) {
      const bool image = image_token >= 0 && token == image_token;
      keys.back().push_back(image ? image_key(0, image_row++) : text_key(token));
    }
  }
  PackedTree tree = pack_sequences(keys, wanted, nullptr);
  for (TokenKey key : tree.keys_T) {
    tree.plan.tokens_T.push_back(is_image(key) ? -1 - int32_t(image_row_of(key)) : token_of(key));
  }
  return tree;
}

}  // namespace mmprm
