// The one exception of the native floor. The addon turns it into a JavaScript EngineError; `code` is a
// closed set and maps one to one to ERR_ENGINE_* (ts/contracts/errors.ts).
#pragma once
#include <stdexcept>
#include <string>

namespace mmprm {

enum class ErrorCode {
  kInvalidArgument,
  kInvalidModel,
  kUnsupportedModel,
  kOutOfMemory,
  kNoDevice,
  kDeviceFault,
  kClosed,
  kAborted,
  kInternal,
};

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace mmprm
