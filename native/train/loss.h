// The two losses, from the last hidden state down to its gradient.
//
//   tokens   Σ w·(lse(logits) - logits[target])              over the vocabulary, shifted by the plan
//   markers  Σ w·(-y·log p - (1-y)·log(1-p)), p = sigmoid(logit_yes - logit_no), at the marker itself
//
// Logits exist for a block of rows at a time. Only two rows of the head take part in the second.
#pragma once
#include <vector>

#include "train/train_model.h"
#include "train/train_plan.h"

namespace mmprm {

struct LossResult {
  double loss = 0;    // Σ w·loss, not divided
  double weight = 0;  // Σ w
  int64_t num_correct = 0,
          num_terms = 0;           // tokens: target is the largest logit; markers: p and y on one side of ½
  std::vector<float> predictions;  // markers: p, in the order of the plan's terms
  std::vector<double> losses;      // tokens: -log p of each term, without its weight
  std::vector<double> logprobs;    // pairs: of each answer
};

class Loss {
 public:
  Loss(const TrainModel& model, TrainOps& ops) : model_(model), ops_(ops), workspace_(ops.device()) {}

  // d_x: where scale · gradient goes (the rows of x; those without terms stay as they are); empty: loss only.
  LossResult tokens(const std::vector<TokenTerm>& terms, const Tensor& x, double scale, const Tensor& d_x);
  LossResult markers(const std::vector<MarkerTerm>& terms, const int32_t pair[2], const Tensor& x,
                     double scale, const Tensor& d_x);

 private:
  // Rows of x that have terms, through the final norm into normed_.
  void gather(const std::vector<int32_t>& row_ids, const Tensor& x);
  void scatter_grad(const std::vector<int32_t>& row_ids, const Tensor& d_x);
  LossResult read_tokens(const std::vector<TokenTerm>& terms) const;
  LossResult read_markers(const std::vector<MarkerTerm>& terms, int rows) const;

  const TrainModel& model_;
  TrainOps& ops_;
  Workspace workspace_;
  Tensor hidden_, normed_, d_normed_, d_hidden_;
  Tensor logits_;
  Tensor values_, margins_;  // what the terms of the loss are made of
};

}  // namespace mmprm
