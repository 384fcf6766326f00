// Direct preference optimisation over pairs of answers to one prompt (DPO, arXiv 2305.18290):
//
//   -(1-ε)·log σ(β·m) - ε·log σ(-β·m) + α·NLL(c),   m = (log π(c) - log ref(c)) - (log π(r) - log ref(r))
//
// c is preferred to r; log π is Σ w·log p over an answer's tokens, NLL the mean of -log p by the same weights. ε is the
// label smoothing, α the weight of the preferred answer's own cross-entropy.
//
// Two passes over the head: the first tells every answer's log-probability, the second has the gradient, which is that of
// a cross-entropy whose tokens weigh by how far the pair is from being told apart, the rejected ones negatively. Tokens
// that both answers begin with cancel.
#pragma once
#include "include/engine/trainer.h"
#include "train/loss.h"

namespace mmprm {

class PreferenceLoss {
 public:
  explicit PreferenceLoss(Loss& tokens) : tokens_(tokens) {}

  // d_x as Loss has it. weight and num_terms count pairs, num_correct those with m above 0; logprobs is in the order of the
  // batch's samples. The gradient is left out where the loss is no number.
  LossResult pairs(const TrainBatch& batch, const TrainPlan& plan, const Tensor& x, double scale,
                   const Tensor& d_x);

 private:
  Loss& tokens_;
};

}  // namespace mmprm
