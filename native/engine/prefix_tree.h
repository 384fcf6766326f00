// Packs token sequences that share beginnings into one tree, so that every shared token is computed once.
//
// A node is a run of tokens; a sequence is a path from the root. Positions restart nowhere: a token's
// position is its index in its sequence, so keys keep their absolute places and a packed sequence has the
// same bits as the same sequence alone. Branches that part inside a page each own a copy of that page. Pure:
// no weights, no memory of earlier calls.
#pragma once
#include <cstdint>
#include <vector>

#include "models/step_plan.h"

namespace mmprm {

struct PackedTree {
  StepPlan plan;
  // For each sequence and each of its requested positions: index into plan.output_rows.
  std::vector<std::vector<int32_t>> outputs;
};

// sequences[i]: tokens. wanted[i]: positions in sequence i whose outputs are read. image_token: tokens equal
// to it take the rows of the image features in order; -1: none.
PackedTree pack_prefix_tree(const std::vector<std::vector<int32_t>>& sequences,
                            const std::vector<std::vector<int32_t>>& wanted, int32_t image_token);

}  // namespace mmprm
