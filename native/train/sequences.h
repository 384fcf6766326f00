// The samples of a batch as sequences of the plan: tokens that stand for pictures become rows of the tower's result.
#pragma once
#include "include/engine/trainer.h"
#include "models/model_spec.h"
#include "train/train_plan.h"

namespace mmprm {

// The batch fits the model (batch_check.h).
std::vector<TrainSequence> sequences_of(const TrainBatch& batch, const ModelSpec& spec);

}  // namespace mmprm
