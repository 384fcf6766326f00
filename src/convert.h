// Between JavaScript values and the engine's plain structs. Arguments were validated in TypeScript; what
// still does not fit is reported as ERR_ENGINE_INVALID_ARGUMENT.
#pragma once
#include <napi.h>

#include <vector>

#include "engine/engine.h"

namespace mmprm::addon {

EngineOptions to_engine_options(Napi::Object object);
ForwardRequest to_forward_request(Napi::Object object);
std::vector<PicturePtr> to_images(Napi::Object object);  // its field "images"

Napi::Value to_js(Napi::Env env, const DecoderInfo& info);
Napi::Value to_js(Napi::Env env, const VisionInfo& info);
Napi::Value to_js(Napi::Env env, const DeviceSummary& device);
Napi::Value to_js(Napi::Env env, const EngineInfo& info);
Napi::Value to_js(Napi::Env env, const ForwardResult& result);
Napi::Value to_js(Napi::Env env, const VisionResult& result);

}  // namespace mmprm::addon
