// The two losses, from the last hidden state down to its gradient.
//
//   tokens   Σ w·(lse(logits) - logits[target])  over the vocabulary, shifted by the plan
//   markers  those of margin_loss.h, at the marker itself, over the logits of its score:
//              logit_yes - logit_no of the vocabulary's head, logit_1 - logit_0 of two classes, each output of other heads
//
// Logits exist for a block of rows at a time. Only two rows of the vocabulary's head take part in the second.
#pragma once
#include <vector>

#include "train/margin_loss.h"
#include "train/train_model.h"
#include "train/train_plan.h"

namespace mmprm {

class Loss {
 public:
  Loss(const TrainModel& model, TrainOps& ops)
      : model_(model), ops_(ops), workspace_(ops.device()), head_(model.head(), ops) {}

  // d_x: where scale · gradient goes (the rows of x; those without terms stay as they are); empty: loss only.
  LossResult tokens(const std::vector<TokenTerm>& terms, const Tensor& x, double scale, const Tensor& d_x);
  LossResult markers(const std::vector<MarkerTerm>& terms, const TrainBatch& batch, const Tensor& x,
                     double scale, const Tensor& d_x);

 private:
  // Rows of x that have terms, through the final norm into normed_.
  void gather(const std::vector<int32_t>& row_ids, const Tensor& x);
  void scatter_grad(const std::vector<int32_t>& row_ids, const Tensor& d_x);
  LossResult read_tokens(const std::vector<TokenTerm>& terms) const;
  // [rows, margins_of_row()]
  std::vector<double> margins(int rows, const int32_t pair[2]);
  void margins_grad(const std::vector<double>& d_margins, int rows, const int32_t pair[2]);
  bool is_two_classes() const { return model_.head().outputs() == 2 && !model_.head().is_ensemble(); }
  int margins_of_row() const {
    return model_.head().empty() || is_two_classes() ? 1 : model_.head().outputs();
  }

  const TrainModel& model_;
  TrainOps& ops_;
  Workspace workspace_;
  HeadPass head_;
  Tensor hidden_, normed_, d_normed_, d_hidden_;
  Tensor logits_;
  Tensor values_, margins_;  // what the terms of the loss are made of
};

}  // namespace mmprm
