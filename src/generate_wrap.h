// engine.generate and engine.stats for JavaScript.
#pragma once
#include <napi.h>

#include <memory>

#include "engine/engine.h"

namespace mmprm::addon {

// -> { promise, abort(), stopSample(i), next() }; next() only serves requests with stream = true.
Napi::Value generate(Napi::Env env, const std::shared_ptr<Engine>& engine, Napi::Object request);

Napi::Value to_js(Napi::Env env, const EngineStats& stats);

}  // namespace mmprm::addon
