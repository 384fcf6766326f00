// The JavaScript face of one native engine. Converts arguments, hands jobs over, settles promises.
#pragma once
#include <napi.h>

#include <memory>

#include "engine/engine.h"

namespace mmprm::addon {

// openEngine({ model, weights, threads, isa }) -> { promise, abort(), progress() }
Napi::Value open_engine(const Napi::CallbackInfo& info);

class EngineWrap : public Napi::ObjectWrap<EngineWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  static Napi::Value create(Napi::Env env, std::shared_ptr<Engine> engine);
  explicit EngineWrap(const Napi::CallbackInfo& info);
  ~EngineWrap() override;

 private:
  Napi::Value info(const Napi::CallbackInfo& info);
  Napi::Value forward(const Napi::CallbackInfo& info);      // -> { promise, abort() }
  Napi::Value embed_image(const Napi::CallbackInfo& info);  // -> { promise, abort() }
  Napi::Value generate(const Napi::CallbackInfo& info);     // see generate_wrap.h
  Napi::Value stats(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);  // -> promise

  std::shared_ptr<Engine> open_or_throw() const;

  std::shared_ptr<Engine> engine_;
};

}  // namespace mmprm::addon
