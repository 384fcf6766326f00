// Refuses a batch that does not fit the model, before anything is computed. Messages name the sample.
#pragma once
#include "include/engine/trainer.h"
#include "models/model_spec.h"

namespace mmprm {

// Throws kInvalidArgument.
void check_batch(const TrainBatch& batch, const ModelSpec& spec);

}  // namespace mmprm
