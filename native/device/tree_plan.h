// Rows of one micro-batch under training, as prefix trees: what attention, rotation and the embedding need to know of
// them in every layer. Plain arrays, so that they can be uploaded.
#pragma once
#include <cstdint>
#include <vector>

namespace mmprm {

// A run of consecutive rows that share their ancestors. Parents come before children.
struct TreeSegment {
  int32_t first_row = 0, num_rows = 0;
  int32_t parent = -1;  // an earlier segment of the same tree; -1: none
};

struct TreePlan {
  std::vector<int32_t> tokens_T;     // a vocabulary id, or -1 - r for image row r; empty in vision
  std::vector<int32_t> positions_T;  // rows of the table of angles; empty where nothing rotates
  std::vector<TreeSegment> segments;
  std::vector<int32_t> tree_begin_1{0};  // tree t: segments [tree_begin_1[t], tree_begin_1[t + 1])
  int max_keys = 0;                      // rows of the longest path
  bool causal = true;                    // false: rows see all of their segment

  int num_trees() const { return static_cast<int>(tree_begin_1.size()) - 1; }
};

// A tree plan on the device, until it is released.
struct StagedTrees {
  uint32_t id = 0;
};

}  // namespace mmprm
