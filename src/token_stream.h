// Tokens on their way from the runner thread to JavaScript, which takes them when it wants more. While too
// many lie untaken the request is paused: a slow reader holds back its own generation, not others'.
#pragma once
#include <napi.h>

#include <memory>
#include <mutex>
#include <vector>

#include "engine/engine.h"
#include "main_thread.h"

namespace mmprm::addon {

class TokenStream {
 public:
  explicit TokenStream(std::weak_ptr<Engine> engine) : engine_(std::move(engine)) {}

  void set_handle(uint64_t handle);
  void push(std::vector<TokenEvent> events);  // on the runner thread
  void end();                                 // nothing follows

  // A promise of an Int32Array of (sample, token, finish) triples: all that came since the last call, at
  // least one; empty at the end. One call at a time.
  Napi::Value next(Napi::Env env);

 private:
  static constexpr size_t kPauseAbove = 4096;  // events

  std::weak_ptr<Engine> engine_;
  std::mutex mutex_;
  uint64_t handle_ = 0;
  std::vector<TokenEvent> events_;
  std::shared_ptr<PendingPromise> waiting_;
  bool ended_ = false, paused_ = false;
};

}  // namespace mmprm::addon
