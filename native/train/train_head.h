// A reward head under training: products with a ReLU between, over the last hidden state after its norm. Computed in F32
// whatever the trainer's products are: few rows see it.
#pragma once
#include "train/train_ops.h"

namespace mmprm {

// One product of every head of an ensemble, or of the only head.
struct HeadLayer {
  int heads = 1, in = 0, out = 0;
  bool in_out = false;  // each head's weight is stored [in, out], of `heads` in a row; otherwise [out, in]
  Parameter* weight = nullptr;                                 // rows of all heads, one below the other
  Parameter* bias = nullptr;                                   // [heads · out]; null: none
  Parameter *weight_anchor = nullptr, *bias_anchor = nullptr;  // what they are held to; null: nothing
};

struct TrainHead {
  std::vector<HeadLayer> layers;  // none: the vocabulary is the head
  RewardHead kind = RewardHead::kNone;

  bool empty() const { return layers.empty(); }
  bool is_ensemble() const { return kind == RewardHead::kEnsemble; }
  int outputs() const { return layers.back().heads * layers.back().out; }
};

// The head that the checkpoint holds as `spec` says, or, where `wanted` names a kind, a new one: uniform within
// ±1/sqrt(in), by the seed. An ensemble is held to `score.reg_model.*` or, where that is not stored, to how it begins.
TrainHead open_head(const Checkpoint& checkpoint, const DecoderSpec& spec, const HeadOptions& wanted,
                    uint64_t seed, ParameterSet& parameters);

// Adds strength · the gradient of mean((θ - θ0)²) over all numbers of the head. Throws kInvalidArgument where it has no
// anchor.
void pull_to_anchor(const TrainHead& head, double strength, TrainOps& ops);

class HeadPass {
 public:
  HeadPass(const TrainHead& head, TrainOps& ops) : head_(head), ops_(ops), workspace_(ops.device()) {}

  // Logits [rows of x, outputs]; x must stay until backward.
  Tensor forward(const Tensor& x);
  // Adds to the gradients; d_x is overwritten.
  void backward(const std::vector<float>& d_logits, const Tensor& d_x);

 private:
  const TrainHead& head_;
  TrainOps& ops_;
  Workspace workspace_;
  Tensor x_;
  Tensor y_[3], d_y_[3];
};

}  // namespace mmprm
