// Between JavaScript values and the trainer's plain structs; see ts/engine/native.ts for their shapes.
#pragma once
#include <napi.h>

#include "engine/trainer.h"

namespace mmprm::addon {

TrainerOptions to_trainer_options(Napi::Object object);
TrainBatch to_train_batch(Napi::Object object);
StepOptions to_step_options(Napi::Object object);
TensorField to_tensor_field(Napi::Value value);
DType to_dtype(Napi::Value value);
SaveForm to_save_form(Napi::Value value);
std::string to_text(Napi::Value value, const char* name);

Napi::Value to_js(Napi::Env env, const TrainerInfo& info);
Napi::Value to_js(Napi::Env env, const BatchResult& result);

}  // namespace mmprm::addon
