// The files of a training run: weights in the hub's format, and the state that resumes bit for bit.
#pragma once
#include "include/engine/trainer.h"
#include "train/train_model.h"

namespace mmprm {

void save_model_file(const TrainModel& model, const std::string& path, DType dtype, SaveForm form);
void save_state_file(const ParameterSet& parameters, int64_t num_steps, const std::string& path);
// Returns the number of steps. Throws kInvalidArgument where the file belongs to
// another model or other options.
int64_t load_state_file(ParameterSet& parameters, const std::string& path);

}  // namespace mmprm
