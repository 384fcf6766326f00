// The packed tree as a pure plan: every sequence can be walked back token by token, pages hold what its path
// says, shared tokens are computed once.
#include "engine/prefix_tree.h"

#include <map>
#include <random>
#include <set>

#include "harness.h"

namespace mmprm {
namespace {

using Sequences = std::vector<std::vector<int32_t>>;

size_t count_distinct_prefixes(const Sequences& sequences) {
  std::set<std::vector<int32_t>> prefixes;
  for (const std::vector<int32_t>& s : sequences) {
    for (size_t n = 1; n <= s.size(); ++n) prefixes.insert(std::vector<int32_t>(s.begin(), s.begin() + n));
  }
  return prefixes.size();
}

// Reads a sequence back through the page list of the row that stands for its last token.
void check_path(const StepPlan& plan, int row, const std::vector<int32_t>& tokens) {
  std::map<std::pair<int, int>, int> row_in_slot;
  for (int t = 0; t < plan.num_rows(); ++t) {
    for (int i = plan.slot_begin_T1[t]; i < plan.slot_begin_T1[t + 1]; ++i) {
      const auto [it, fresh] = row_in_slot.insert({{plan.slots[i].page, plan.slots[i].slot}, t});
      CHECK(fresh);  // two rows never share a slot
    }
  }
  CHECK_EQ(plan.keys_T[row].num_keys, int(tokens.size()));
  for (size_t p = 0; p < tokens.size(); ++p) {
    const int page = plan.pages[plan.keys_T[row].first + p / kPageTokens];
    const auto found = row_in_slot.find({page, int(p % kPageTokens)});
    CHECK(found != row_in_slot.end());
    CHECK_EQ(plan.tokens_T[found->second], tokens[p]);
    CHECK_EQ(plan.positions_T[found->second], int(p));
  }
}

void check_tree(const Sequences& sequences) {
  Sequences wanted;
  for (const std::vector<int32_t>& s : sequences) wanted.push_back({0, int32_t(s.size()) - 1});
  const PackedTree tree = pack_prefix_tree(sequences, wanted, -1);
  CHECK_EQ(size_t(tree.plan.num_rows()), count_distinct_prefixes(sequences));
  for (size_t i = 0; i < sequences.size(); ++i) {
    check_path(tree.plan, tree.plan.output_rows[tree.outputs[i][0]], {sequences[i][0]});
    check_path(tree.plan, tree.plan.output_rows[tree.outputs[i][1]], sequences[i]);
  }
  for (size_t i = 1; i < tree.plan.output_rows.size(); ++i) {
    CHECK(tree.plan.output_rows[i - 1] < tree.plan.output_rows[i]);
  }
}

TEST(prefix_tree_of_one_sequence) { check_tree({{5, 6, 7}}); }

TEST(prefix_tree_shares_equal_and_nested_sequences) {
  check_tree({{1, 2, 3, 4}, {1, 2, 3, 4}, {1, 2}, {1, 2, 3, 4, 5, 6}, {1, 9}, {7}});
}

TEST(prefix_tree_random) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    Sequences sequences;
    const int count = 1 + random() % 8;
    for (int i = 0; i < count; ++i) {
      // Grows from an earlier sequence's beginning, so that branches part at every kind of place in a page.
      std::vector<int32_t> s;
      if (!sequences.empty()) {
        const std::vector<int32_t>& from = sequences[random() % sequences.size()];
        s.assign(from.begin(), from.begin() + random() % (from.size() + 1));
      }
      const int more = 1 + random() % 40;
      for (int k = 0; k < more; ++k) s.push_back(random() % 3);
      sequences.push_back(s);
    }
    check_tree(sequences);
  }
}

TEST(prefix_tree_numbers_image_rows_per_sequence) {
  const PackedTree tree = pack_prefix_tree({{8, 99, 99, 4}, {8, 99, 99, 5}}, {{3}, {3}}, 99);
  CHECK_EQ(tree.plan.num_rows(), 5);
  CHECK_EQ(tree.plan.tokens_T[1], -1);
  CHECK_EQ(tree.plan.tokens_T[2], -2);
}

}  // namespace
}  // namespace mmprm
