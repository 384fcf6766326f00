// AdamW over all trainable parameters, with clipping by the global norm. See kernels/adamw for the formulas.
#pragma once
#include "train/train_ops.h"

namespace mmprm {

enum class DecayGroup { kAll, kMatrices };  // kMatrices: no decay on biases, norms and other vectors

struct AdamwOptions {
  double learning_rate = 0;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0;
  DecayGroup decay = DecayGroup::kAll;
  double max_norm = 0;  // 0: no clipping
};

// `step` counts from 1. Leaves the gradients as they are. Returns their global norm before clipping; where
// that is not finite, nothing is changed.
double adamw_step(ParameterSet& parameters, const AdamwOptions& options, int64_t step, TrainOps& ops);

}  // namespace mmprm
