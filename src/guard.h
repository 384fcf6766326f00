// The one place where native errors become JavaScript ones: EngineError of ts/contracts/errors.ts when it was
// registered (setErrorClass), with the same closed set of codes.
#pragma once
#include <napi.h>

#include <exception>

#include "engine/error.h"

namespace mmprm::addon {

// What one JavaScript environment (main thread or worker) owns.
struct Environment {
  Napi::FunctionReference engine_class;
  Napi::FunctionReference trainer_class;
  Napi::FunctionReference picture_class;
  Napi::FunctionReference error_class;  // (code, message) -> EngineError
};

Environment& environment(Napi::Env env);

Napi::Value to_js_error(Napi::Env env, std::exception_ptr error);

// Runs `body`; whatever it throws leaves as a JavaScript exception.
template <typename Body>
Napi::Value guarded(Napi::Env env, Body&& body) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw Napi::Error(env, to_js_error(env, std::current_exception()));
  }
}

}  // namespace mmprm::addon
