// Asked between layers: training ends where its caller gave it up.
#pragma once
#include <atomic>

#include "include/engine/error.h"

namespace mmprm {

// Throws kAborted.
inline void check_cancelled(const std::atomic<bool>* cancelled) {
  if (cancelled && cancelled->load()) throw Error(ErrorCode::kAborted, "training was aborted");
}

}  // namespace mmprm
