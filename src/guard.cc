#include "guard.h"

#include <new>
#include <string>

namespace mmprm::addon {
namespace {

const char* code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "ERR_ENGINE_INVALID_ARGUMENT";
    case ErrorCode::kInvalidModel:
      return "ERR_ENGINE_INVALID_MODEL";
    case ErrorCode::kUnsupportedModel:
      return "ERR_ENGINE_UNSUPPORTED_MODEL";
    case ErrorCode::kOutOfMemory:
      return "ERR_ENGINE_OUT_OF_MEMORY";
    case ErrorCode::kNoDevice:
      return "ERR_ENGINE_NO_DEVICE";
    case ErrorCode::kDeviceFault:
      return "ERR_ENGINE_DEVICE_FAULT";
    case ErrorCode::kClosed:
      return "ERR_ENGINE_CLOSED";
    case ErrorCode::kAborted:
      return "ERR_ENGINE_ABORTED";
    case ErrorCode::kInternal:
      break;
  }
  return "ERR_ENGINE_INTERNAL";
}

Napi::Value make(Napi::Env env, ErrorCode code, const std::string& message) {
  const Napi::FunctionReference& error_class = environment(env).error_class;
  const Napi::String js_code = Napi::String::New(env, code_name(code));
  const Napi::String js_message = Napi::String::New(env, message);
  if (!error_class.IsEmpty()) return error_class.New({js_code, js_message});
  Napi::Error plain = Napi::Error::New(env, message);
  plain.Set("code", js_code);
  return plain.Value();
}

}  // namespace

Environment& environment(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

Napi::Value to_js_error(Napi::Env env, std::exception_ptr error) {
  try {
    std::rethrow_exception(error);
  } catch (const Napi::Error& e) {
    return e.Value();
  } catch (const Error& e) {
    return make(env, e.code(), e.what());
  } catch (const std::bad_alloc&) {
    return make(env, ErrorCode::kOutOfMemory, "out of memory");
  } catch (const std::exception& e) {
    return make(env, ErrorCode::kInternal, e.what());
  } catch (...) {
    return make(env, ErrorCode::kInternal, "unknown native error");
  }
}

}  // namespace mmprm::addon
