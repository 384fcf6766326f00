// What one micro-batch computes: sequences packed into prefix trees of segments, so that every token that
// several sequences of a group share is computed once, and the terms of the loss at its rows.
//
// Pure: no weights. Rows of a segment follow one another, parents come before
// children, trees follow one another.
#pragma once
#include <cstdint>
#include <vector>

#include "device/step_plan.h"
#include "device/tree_plan.h"

namespace mmprm {

struct TrainSequence {
  std::vector<int32_t> tokens;  // a vocabulary id, or -1 - r for row r of the image features
  std::vector<RopeAxes> axes;   // of each token; empty where its place says it all
  int32_t group = 0;            // sequences of one group are packed together
  // Token cross-entropy: weight with which token i is to be predicted from what
  // stands before it; 0: not at all.
  std::vector<float> token_weights;
  // Soft labels: rising positions, the probability that is to be learnt there, and weights.
  std::vector<int32_t> markers;
  std::vector<float> labels, marker_weights;
  int32_t siblings = -1;  // sequences of one number from 0 up are ranked against each other
};

struct TokenTerm {
  int32_t row = 0, target = 0;
  double weight = 0;
};

struct MarkerTerm {
  int32_t row = 0;
  float label = 0, weight = 0;
  int32_t sequence = 0, marker = 0;  // where it comes from
  int32_t siblings = -1;             // of the sequence
};

struct TrainPlan : TreePlan {
  std::vector<RopeAxes> axes_T;        // empty: positions_T says it all
  std::vector<TokenTerm> token_terms;  // by row, then target; equal ones merged
  // Per sequence: which of token_terms each of its predicted tokens became, in order.
  std::vector<std::vector<int32_t>> terms_of;
  std::vector<MarkerTerm> marker_terms;  // by row
  int64_t num_tokens = 0;                // of all sequences, before packing

  int num_rows() const { return static_cast<int>(tokens_T.size()); }
};

TrainPlan plan_training(const std::vector<TrainSequence>& sequences);

}  // namespace mmprm
