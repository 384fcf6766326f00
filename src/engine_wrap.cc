#include "engine_wrap.h"

#include <atomic>
#include <utility>

#include "convert.h"
#include "generate_wrap.h"
#include "guard.h"
#include "main_thread.h"
#include "picture_wrap.h"

namespace mmprm::addon {
namespace {

Napi::Object job_object(Napi::Env env, Napi::Promise promise, CancelFlag cancelled) {
  Napi::Object job = Napi::Object::New(env);
  job.Set("promise", promise);
  job.Set("abort",
          Napi::Function::New(env, [cancelled](const Napi::CallbackInfo&) { cancelled->store(true); }));
  return job;
}

// Settles `pending` with whatever an engine call ends in.
template <typename Result>
Engine::Callback<Result> settle(std::shared_ptr<PendingPromise> pending) {
  return [pending](std::exception_ptr error, Result result) {
    if (error) return pending->reject(error);
    auto shared = std::make_shared<const Result>(std::move(result));
    pending->resolve([shared](Napi::Env env) { return to_js(env, *shared); });
  };
}

// Written by the opening thread, read by JavaScript whenever it likes.
struct Progress {
  std::atomic<uint64_t> done{0}, total{0};  // bytes of weights
};

}  // namespace

Napi::Value open_engine(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const EngineOptions options = to_engine_options(info[0].As<Napi::Object>());
    const auto pending = PendingPromise::create(info.Env());
    const auto cancelled = std::make_shared<std::atomic<bool>>(false);
    const auto progress = std::make_shared<Progress>();
    pending->settle_from_thread([=, pending = pending.get()] {
      const auto on_progress = [&progress](uint64_t done, uint64_t total) {
        progress->total = total;
        progress->done = done;
      };
      try {
        const std::shared_ptr<Engine> engine = Engine::open(options, on_progress, cancelled);
        pending->resolve([engine](Napi::Env env) { return EngineWrap::create(env, engine); });
      } catch (...) {
        pending->reject(std::current_exception());
      }
    });
    Napi::Object job = job_object(info.Env(), pending->promise(), cancelled);
    job.Set("progress",
            Napi::Function::New(info.Env(), [progress](const Napi::CallbackInfo& info) -> Napi::Value {
              Napi::Object out = Napi::Object::New(info.Env());
              out.Set("doneBytes", double(progress->done));
              out.Set("totalBytes", double(progress->total));
              return out;
            }));
    return job;
  });
}

Napi::Function EngineWrap::define(Napi::Env env) {
  return DefineClass(
      env, "NativeEngine",
      {InstanceMethod<&EngineWrap::info>("info"), InstanceMethod<&EngineWrap::forward>("forward"),
       InstanceMethod<&EngineWrap::embed_image>("embedImage"),
       InstanceMethod<&EngineWrap::generate>("generate"), InstanceMethod<&EngineWrap::stats>("stats"),
       InstanceMethod<&EngineWrap::close>("close")});
}

Napi::Value EngineWrap::create(Napi::Env env, std::shared_ptr<Engine> engine) {
  return environment(env).engine_class.New({Napi::External<std::shared_ptr<Engine>>::New(env, &engine)});
}

EngineWrap::EngineWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EngineWrap>(info) {
  if (!info[0].IsExternal()) throw Napi::TypeError::New(info.Env(), "engines are made by openEngine");
  engine_ = *info[0].As<Napi::External<std::shared_ptr<Engine>>>().Data();
  Napi::MemoryManagement::AdjustExternalMemory(info.Env(), int64_t(engine_->info().weight_bytes));
}

EngineWrap::~EngineWrap() = default;

std::shared_ptr<Engine> EngineWrap::open_or_throw() const {
  if (!engine_) throw Error(ErrorCode::kClosed, "the engine is closed");
  return engine_;
}

Napi::Value EngineWrap::info(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return to_js(info.Env(), open_or_throw()->info()); });
}

Napi::Value EngineWrap::forward(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto engine = open_or_throw();
    ForwardRequest request = to_forward_request(info[0].As<Napi::Object>());
    const auto pending = PendingPromise::create(info.Env());
    const auto cancelled = std::make_shared<std::atomic<bool>>(false);
    engine->forward(std::move(request), cancelled, settle<ForwardResult>(pending));
    return job_object(info.Env(), pending->promise(), cancelled);
  });
}

Napi::Value EngineWrap::embed_image(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto engine = open_or_throw();
    const Napi::Object request = info[0].As<Napi::Object>();
    const auto pending = PendingPromise::create(info.Env());
    const auto cancelled = std::make_shared<std::atomic<bool>>(false);
    engine->embed_image(to_picture(request.Get("picture"), "picture"), request.Get("hidden").ToBoolean(),
                        cancelled, settle<VisionResult>(pending));
    return job_object(info.Env(), pending->promise(), cancelled);
  });
}

Napi::Value EngineWrap::generate(const Napi::CallbackInfo& info) {
  return guarded(info.Env(),
                 [&] { return addon::generate(info.Env(), open_or_throw(), info[0].As<Napi::Object>()); });
}

Napi::Value EngineWrap::stats(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return to_js(info.Env(), open_or_throw()->stats()); });
}

Napi::Value EngineWrap::close(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto pending = PendingPromise::create(info.Env());
    const auto undefined = [](Napi::Env env) { return env.Undefined(); };
    if (!engine_) {
      pending->resolve(undefined);
      return pending->promise();
    }
    Napi::MemoryManagement::AdjustExternalMemory(info.Env(), -int64_t(engine_->info().weight_bytes));
    engine_->close();
    // WHY elsewhere: freeing waits for the layer in work, and the event loop must not.
    pending->settle_from_thread(
        [engine = std::exchange(engine_, nullptr), pending = pending.get(), undefined]() mutable {
          engine->join();
          engine.reset();
          pending->resolve(undefined);
        });
    return pending->promise();
  });
}

}  // namespace mmprm::addon
