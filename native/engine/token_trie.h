// A trie over whole sequences: shared beginnings become shared nodes. Numbers the rows that must be computed.
#pragma once
#include <cstddef>
#include <map>
#include <vector>

#include "engine/token_key.h"

namespace mmprm {

class TokenTrie {
 public:
  struct Node {
    int parent = -1;
    int start = 0;               // position of its first token
    std::vector<TokenKey> keys;  // a run of at least one token, except at the root
    std::map<TokenKey, int> children;
    int sequence = -1;  // the longest that passes through
    int cached = 0;     // positions below are known on the whole path, none from here on
    int first_row = 0;  // of position max(start, cached)

    int end() const { return start + static_cast<int>(keys.size()); }
    int first_computed() const { return cached > start ? cached : start; }
  };

  // cached[i]: how many leading tokens of sequence i are known already. Where sequences share tokens, the
  // least of their numbers counts.
  TokenTrie(const std::vector<std::vector<TokenKey>>& sequences, const std::vector<int>& cached);

  const Node& node(int index) const { return nodes_[index]; }
  int num_nodes() const { return static_cast<int>(nodes_.size()); }
  int num_rows() const { return num_rows_; }

  // Parents come before children; a node's rows follow one another in this order.
  const std::vector<int>& order() const { return order_; }

  // The node that holds the last token of sequence i.
  int leaf_of(size_t sequence) const { return leaves_[sequence]; }

  // Row of the computed token at `position` on the path that ends in `node`.
  int row_at(int node, int position) const;

 private:
  void insert(const std::vector<TokenKey>& keys);
  void add_leaf(int parent, std::vector<TokenKey> keys);
  void split(int index, size_t keep);
  void trace(const std::vector<std::vector<TokenKey>>& sequences, int sequence, int cached);
  void number_rows();

  std::vector<Node> nodes_;
  std::vector<int> order_, leaves_;
  int num_rows_ = 0;
};

}  // namespace mmprm
