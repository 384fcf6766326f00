#include "engine/prefix_tree.h"

#include <algorithm>
#include <map>

namespace mmprm {
namespace {

struct Node {
  int parent = -1;
  int start = 0;                // position of its first token
  std::vector<int32_t> tokens;  // as planned: image tokens are already negative
  std::map<int32_t, int> children;
  int first_row = 0;

  int end() const { return start + static_cast<int>(tokens.size()); }
};

class Tree {
 public:
  Tree() : nodes_(1) {}

  void insert(const std::vector<int32_t>& tokens) {
    int node = 0;
    size_t at = 0;
    while (at < tokens.size()) {
      const auto child = nodes_[node].children.find(tokens[at]);
      if (child == nodes_[node].children.end()) {
        add_leaf(node, std::vector<int32_t>(tokens.begin() + at, tokens.end()));
        return;
      }
      node = child->second;
      const std::vector<int32_t>& run = nodes_[node].tokens;
      const size_t most = std::min(run.size(), tokens.size() - at);
      const size_t same =
          std::mismatch(run.begin(), run.begin() + most, tokens.begin() + at).first - run.begin();
      at += same;
      if (same < run.size()) {
        // A sequence that ends here needs no split: its rows are the node's first ones.
        if (at == tokens.size()) return;
        split(node, same);
      }
    }
  }

  // Parents come before children, and a node's rows follow one another.
  std::vector<Node>& number_rows() {
    std::vector<int> order{0};
    int row = 0;
    for (size_t i = 0; i < order.size(); ++i) {
      Node& node = nodes_[order[i]];
      node.first_row = row;
      row += static_cast<int>(node.tokens.size());
      for (const auto& [token, child] : node.children) order.push_back(child);
    }
    order_ = order;
    num_rows_ = row;
    return nodes_;
  }

  const std::vector<int>& order() const { return order_; }
  int num_rows() const { return num_rows_; }

  // Row of the token at `position` on the path that ends in `node`.
  int row_at(int node, int position) const {
    while (position < nodes_[node].start) node = nodes_[node].parent;
    return nodes_[node].first_row + position - nodes_[node].start;
  }

  // Rows of a whole sequence, in order.
  std::vector<int32_t> rows_of(const std::vector<int32_t>& tokens) const {
    std::vector<int32_t> rows;
    int node = 0;
    while (rows.size() < tokens.size()) {
      node = nodes_[node].children.at(tokens[rows.size()]);
      const size_t count = std::min(nodes_[node].tokens.size(), tokens.size() - rows.size());
      for (size_t i = 0; i < count; ++i) rows.push_back(nodes_[node].first_row + static_cast<int32_t>(i));
    }
    return rows;
  }

 private:
  void add_leaf(int parent, std::vector<int32_t> tokens) {
    Node leaf;
    leaf.parent = parent;
    leaf.start = nodes_[parent].end();
    leaf.tokens = std::move(tokens);
    nodes_[parent].children[leaf.tokens[0]] = static_cast<int>(nodes_.size());
    nodes_.push_back(std::move(leaf));
  }

  // The node keeps its first `keep` tokens; the rest moves into a new child that takes over its children.
  void split(int index, size_t keep) {
    const int lower_index = static_cast<int>(nodes_.size());
    Node lower;
    Node& upper = nodes_[index];
    lower.parent = index;
    lower.start = upper.start + static_cast<int>(keep);
    lower.tokens.assign(upper.tokens.begin() + keep, upper.tokens.end());
    lower.children = std::move(upper.children);
    upper.tokens.resize(keep);
    upper.children = {{lower.tokens[0], lower_index}};
    for (const auto& [token, child] : lower.children) nodes_[child].parent = lower_index;
    nodes_.push_back(std::move(lower));
  }

  std::vector<Node> nodes_;
  std::vector<int> order_;
  int num_rows_ = 0;
};

// Full pages of the parent are shared; the page in which a node starts is its own, with copies of what lies
// before it on the path.
void plan_pages(const Tree& tree, const std::vector<Node>& nodes, StepPlan& plan) {
  std::vector<std::vector<KvSlot>> slots_of_row(tree.num_rows());
  plan.page_lists.resize(nodes.size());
  for (int index : tree.order()) {
    const Node& node = nodes[index];
    if (node.tokens.empty()) continue;
    std::vector<int32_t>& pages = plan.page_lists[index];
    const int first_page = node.start / kPageTokens;
    const std::vector<int32_t>& above = plan.page_lists[node.parent];
    pages.assign(above.begin(), above.begin() + first_page);
    for (int position = first_page * kPageTokens; position < node.end(); ++position) {
      if (position % kPageTokens == 0) pages.push_back(plan.num_pages++);
      slots_of_row[tree.row_at(index, position)].push_back({pages.back(), position % kPageTokens});
    }
  }
  plan.slot_begin_T1.push_back(0);
  for (const std::vector<KvSlot>& slots : slots_of_row) {
    plan.slots.insert(plan.slots.end(), slots.begin(), slots.end());
    plan.slot_begin_T1.push_back(static_cast<int32_t>(plan.slots.size()));
  }
}

void plan_rows(const Tree& tree, const std::vector<Node>& nodes, StepPlan& plan) {
  for (int index : tree.order()) {
    const Node& node = nodes[index];
    for (size_t i = 0; i < node.tokens.size(); ++i) {
      const int position = node.start + static_cast<int>(i);
      plan.tokens_T.push_back(node.tokens[i]);
      plan.positions_T.push_back(position);
      plan.rows_T.push_back({plan.page_lists[index].data(), position + 1});
    }
  }
}

}  // namespace

PackedTree pack_prefix_tree(const std::vector<std::vector<int32_t>>& sequences,
                            const std::vector<std::vector<int32_t>>& wanted, int32_t image_token) {
  std::vector<std::vector<int32_t>> planned = sequences;
  for (std::vector<int32_t>& tokens : planned) {
    int32_t image_row = 0;
    for (int32_t& token : tokens) {
      if (image_token >= 0 && token == image_token) token = -1 - image_row++;
    }
  }
  Tree tree;
  for (const std::vector<int32_t>& tokens : planned) tree.insert(tokens);
  const std::vector<Node>& nodes = tree.number_rows();

  PackedTree out;
  plan_pages(tree, nodes, out.plan);
  plan_rows(tree, nodes, out.plan);

  for (size_t i = 0; i < planned.size(); ++i) {
    const std::vector<int32_t> rows = tree.rows_of(planned[i]);
    out.outputs.emplace_back();
    for (int32_t position : wanted[i]) out.outputs.back().push_back(rows[position]);
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
  return out;
}

}  // namespace mmprm
