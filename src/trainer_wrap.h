// The JavaScript face of one native trainer: every call goes to the trainer's own
// thread and returns a promise.
#pragma once
#include <napi.h>

#include <atomic>
#include <memory>

#include "engine/trainer.h"
#include "worker.h"

namespace mmprm::addon {

// openTrainer({ model, compute, threads, isa, trainVision … }) -> promise of a trainer
Napi::Value open_trainer(const Napi::CallbackInfo& info);
// initWeights(folder, path, seed, dtype) -> promise
Napi::Value init_weights(const Napi::CallbackInfo& info);

class TrainerWrap : public Napi::ObjectWrap<TrainerWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  static Napi::Value create(Napi::Env env, std::shared_ptr<Trainer> trainer);
  explicit TrainerWrap(const Napi::CallbackInfo& info);
  ~TrainerWrap() override;

 private:
  struct Session;  // trainer and thread; outlives the wrapper until its last job is done

  Napi::Value info(const Napi::CallbackInfo& info);
  Napi::Value accumulate(const Napi::CallbackInfo& info);  // (batch, scale) -> promise
  Napi::Value evaluate(const Napi::CallbackInfo& info);    // (batch) -> promise
  Napi::Value step(const Napi::CallbackInfo& info);        // (options) -> promise of the gradients' norm
  Napi::Value clear_gradients(const Napi::CallbackInfo& info);
  Napi::Value tensor_names(const Napi::CallbackInfo& info);
  Napi::Value tensor(const Napi::CallbackInfo& info);      // (name, field) -> promise
  Napi::Value set_tensor(const Napi::CallbackInfo& info);  // (name, values) -> promise
  Napi::Value save_model(const Napi::CallbackInfo& info);  // (path, dtype, form) -> promise
  Napi::Value save_state(const Napi::CallbackInfo& info);  // (path) -> promise
  Napi::Value load_state(const Napi::CallbackInfo& info);  // (path) -> promise of the number of steps
  Napi::Value abort(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  std::shared_ptr<Session> open_or_throw() const;
  // Runs `work` on the session's thread; `convert` makes its result a JavaScript value.
  template <typename Work, typename Convert>
  Napi::Value enqueue(Napi::Env env, Work work, Convert convert);

  std::shared_ptr<Session> session_;
};

}  // namespace mmprm::addon
