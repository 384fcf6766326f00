#include "engine/token_trie.h"

#include <algorithm>
#include <limits>

namespace mmprm {

TokenTrie::TokenTrie(const std::vector<std::vector<TokenKey>>& sequences, const std::vector<int>& cached)
    : nodes_(1) {
  for (const std::vector<TokenKey>& keys : sequences) insert(keys);
  for (Node& node : nodes_) node.cached = std::numeric_limits<int>::max();
  for (size_t i = 0; i < sequences.size(); ++i) trace(sequences, static_cast<int>(i), cached[i]);
  number_rows();
}

void TokenTrie::insert(const std::vector<TokenKey>& keys) {
  int node = 0;
  size_t at = 0;
  while (at < keys.size()) {
    const auto child = nodes_[node].children.find(keys[at]);
    if (child == nodes_[node].children.end()) {
      add_leaf(node, std::vector<TokenKey>(keys.begin() + at, keys.end()));
      return;
    }
    node = child->second;
    const std::vector<TokenKey>& run = nodes_[node].keys;
    const size_t most = std::min(run.size(), keys.size() - at);
    const size_t same = std::mismatch(run.begin(), run.begin() + most, keys.begin() + at).first - run.begin();
    at += same;
    if (same < run.size()) {
      // A sequence that ends here needs no split: its rows are the node's first ones.
      if (at == keys.size()) return;
      split(node, same);
    }
  }
}

void TokenTrie::add_leaf(int parent, std::vector<TokenKey> keys) {
  Node leaf;
  leaf.parent = parent;
  leaf.start = nodes_[parent].end();
  leaf.keys = std::move(keys);
  nodes_[parent].children[leaf.keys[0]] = static_cast<int>(nodes_.size());
  nodes_.push_back(std::move(leaf));
}

// The node keeps its first `keep` tokens; the rest moves into a new child that takes over its children.
void TokenTrie::split(int index, size_t keep) {
  const int lower_index = static_cast<int>(nodes_.size());
  Node lower;
  Node& upper = nodes_[index];
  lower.parent = index;
  lower.start = upper.start + static_cast<int>(keep);
  lower.keys.assign(upper.keys.begin() + keep, upper.keys.end());
  lower.children = std::move(upper.children);
  upper.keys.resize(keep);
  upper.children = {{lower.keys[0], lower_index}};
  for (const auto& [key, child] : lower.children) nodes_[child].parent = lower_index;
  nodes_.push_back(std::move(lower));
}

void TokenTrie::trace(const std::vector<std::vector<TokenKey>>& sequences, int sequence, int cached) {
  const std::vector<TokenKey>& keys = sequences[sequence];
  int index = 0;
  for (int at = 0; at < static_cast<int>(keys.size());) {
    index = nodes_[index].children.at(keys[at]);
    Node& node = nodes_[index];
    node.cached = std::min(node.cached, cached);
    if (node.sequence < 0 || keys.size() > sequences[node.sequence].size()) node.sequence = sequence;
    at = node.end();
  }
  leaves_.push_back(index);
}

void TokenTrie::number_rows() {
  order_.assign(1, 0);
  nodes_[0].cached = 0;
  for (size_t i = 0; i < order_.size(); ++i) {
    Node& node = nodes_[order_[i]];
    if (node.parent >= 0) {
      // What follows a computed token is computed too, so that a path is known up to one position.
      const Node& above = nodes_[node.parent];
      node.cached = above.cached < above.end() ? above.cached : std::min(node.cached, node.end());
      node.first_row = num_rows_;
      num_rows_ += node.end() - node.first_computed();
    }
    for (const auto& [key, child] : node.children) order_.push_back(child);
  }
}

int TokenTrie::row_at(int node, int position) const {
  while (position < nodes_[node].start) node = nodes_[node].parent;
  return nodes_[node].first_row + position - nodes_[node].first_computed();
}

}  // namespace mmprm
