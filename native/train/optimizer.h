// AdamW over all trainable parameters, with clipping by the global norm. See kernels/adamw for the formulas.
#pragma once
#include "include/engine/trainer.h"
#include "train/parameters.h"

namespace mmprm {

// `step` counts from 1. Leaves the gradients as they are. Returns their global norm before clipping; where
// that is not finite, nothing is changed.
double adamw_step(const ParameterSet& parameters, const StepOptions& options, int64_t step, Device& device);

}  // namespace mmprm
