#include "token_stream.h"

#include <utility>

#include "fields.h"

namespace mmprm::addon {
namespace {

void deliver(PendingPromise& promise, std::vector<TokenEvent> events) {
  promise.resolve([events = std::move(events)](Napi::Env env) -> Napi::Value {
    std::vector<int32_t> flat;
    for (const TokenEvent& e : events)
      flat.insert(flat.end(), {e.sample, e.token, static_cast<int32_t>(e.finish)});
    return to_js(env, flat);
  });
}

}  // namespace

void TokenStream::set_handle(uint64_t handle) {
  const std::lock_guard lock(mutex_);
  handle_ = handle;
}

void TokenStream::push(std::vector<TokenEvent> events) {
  const std::lock_guard lock(mutex_);
  events_.insert(events_.end(), events.begin(), events.end());
  if (waiting_) {
    deliver(*std::exchange(waiting_, nullptr), std::exchange(events_, {}));
  } else if (events_.size() > kPauseAbove && !paused_ && handle_ != 0) {
    if (const auto engine = engine_.lock()) engine->set_paused(handle_, paused_ = true);
  }
}

void TokenStream::end() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  if (waiting_) deliver(*std::exchange(waiting_, nullptr), {});
}

Napi::Value TokenStream::next(Napi::Env env) {
  const std::lock_guard lock(mutex_);
  const auto promise = PendingPromise::create(env);
  if (ended_ || !events_.empty()) {
    deliver(*promise, std::exchange(events_, {}));
    if (paused_) {
      if (const auto engine = engine_.lock()) engine->set_paused(handle_, paused_ = false);
    }
  } else {
    waiting_ = promise;
  }
  return promise->promise();
}

}  // namespace mmprm::addon
