// Losses of marked steps over the logits of their scores. Pure: numbers in, numbers out.
//
//   value  Σ w · mean over heads of (-y·log p - (1-y)·log(1-p)), p = sigmoid(z)
//   rank   λ · Σ over sets of siblings: W · mean over pairs and heads of -log sigmoid(z_i - z_j), pairs of y_i ≥ y_j + m,
//          W = Σ w of the set
//
// WHY W: divided by all weights, a set counts in both parts by its share of the steps. A set without a pair has no second.
#pragma once
#include <cstdint>
#include <vector>

#include "include/engine/trainer.h"
#include "train/train_plan.h"

namespace mmprm {

struct LossResult {
  double loss = 0;    // Σ w·loss, not divided
  double weight = 0;  // Σ w
  int64_t num_correct = 0,
          num_terms = 0;           // tokens: target is the largest logit; markers: p and y on one side of ½
  std::vector<float> predictions;  // markers: p, the mean over heads, in the order of the plan's terms
  std::vector<double> losses;      // tokens: -log p of each term, without its weight
  std::vector<double> logprobs;    // pairs: of each answer
};

struct MarginLoss {
  LossResult result;
  std::vector<double> d_margins;  // scale · gradient, as the margins
};

// margins: [rows that have terms, heads]; terms by row.
MarginLoss margin_loss(const std::vector<MarkerTerm>& terms, const std::vector<double>& margins, int heads,
                       const RankOptions& rank, double scale);

}  // namespace mmprm
