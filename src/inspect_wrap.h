#pragma once
#include <napi.h>

namespace mmprm::addon {

// (folder) -> summary: ModelSummary of ts/engine/native.ts
Napi::Value inspect_model(const Napi::CallbackInfo& info);

}  // namespace mmprm::addon
