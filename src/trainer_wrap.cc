#include "trainer_wrap.h"

#include <thread>

#include "fields.h"
#include "guard.h"
#include "main_thread.h"
#include "trainer_convert.h"

namespace mmprm::addon {
namespace {

struct Nothing {};

Napi::Value undefined(Napi::Env env, const Nothing&) { return env.Undefined(); }
Napi::Value as_number(Napi::Env env, double value) { return number(env, value); }
Napi::Value as_floats(Napi::Env env, const std::vector<float>& values) { return to_js(env, values); }
Napi::Value as_result(Napi::Env env, const BatchResult& result) { return to_js(env, result); }

// Runs `work` and settles the promise with what `convert` makes of its result.
template <typename Work, typename Convert>
void settle(PendingPromise& pending, Work& work, Convert convert) {
  try {
    auto result = std::make_shared<decltype(work())>(work());
    pending.resolve([result, convert](Napi::Env env) { return convert(env, *result); });
  } catch (...) {
    pending.reject(std::current_exception());
  }
}

}  // namespace

struct TrainerWrap::Session {
  explicit Session(std::shared_ptr<Trainer> t) : trainer(std::move(t)) {}
  std::shared_ptr<Trainer> trainer;
  std::atomic<bool> cancelled{false};
  Worker worker;  // last: its jobs use all of the above
};

Napi::Value open_trainer(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const TrainerOptions options = to_trainer_options(info[0].As<Napi::Object>());
    const auto pending = PendingPromise::create(info.Env());
    pending->settle_from_thread([options, pending = pending.get()] {
      const auto work = [&] { return Trainer::open(options); };
      settle(*pending, work, [](Napi::Env env, const std::shared_ptr<Trainer>& trainer) {
        return TrainerWrap::create(env, trainer);
      });
    });
    return pending->promise();
  });
}

Napi::Value init_weights(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const std::string folder = to_text(info[0], "folder"), path = to_text(info[1], "path");
    if (!info[2].IsBigInt()) reject_field("seed", "a bigint");
    bool lossless = false;
    const uint64_t seed = info[2].As<Napi::BigInt>().Uint64Value(&lossless);
    const DType dtype = to_dtype(info[3]);
    const auto pending = PendingPromise::create(info.Env());
    pending->settle_from_thread([=, pending = pending.get()] {
      const auto work = [&] {
        mmprm::init_weights(folder, path, seed, dtype);
        return Nothing{};
      };
      settle(*pending, work, undefined);
    });
    return pending->promise();
  });
}

Napi::Function TrainerWrap::define(Napi::Env env) {
  return DefineClass(
      env, "NativeTrainer",
      {InstanceMethod<&TrainerWrap::info>("info"), InstanceMethod<&TrainerWrap::accumulate>("accumulate"),
       InstanceMethod<&TrainerWrap::evaluate>("evaluate"), InstanceMethod<&TrainerWrap::step>("step"),
       InstanceMethod<&TrainerWrap::clear_gradients>("clearGradients"),
       InstanceMethod<&TrainerWrap::tensor_names>("tensorNames"),
       InstanceMethod<&TrainerWrap::tensor>("tensor"), InstanceMethod<&TrainerWrap::set_tensor>("setTensor"),
       InstanceMethod<&TrainerWrap::save_model>("saveModel"),
       InstanceMethod<&TrainerWrap::save_state>("saveState"),
       InstanceMethod<&TrainerWrap::load_state>("loadState"), InstanceMethod<&TrainerWrap::abort>("abort"),
       InstanceMethod<&TrainerWrap::close>("close")});
}

Napi::Value TrainerWrap::create(Napi::Env env, std::shared_ptr<Trainer> trainer) {
  return environment(env).trainer_class.New({Napi::External<std::shared_ptr<Trainer>>::New(env, &trainer)});
}

TrainerWrap::TrainerWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TrainerWrap>(info) {
  if (!info[0].IsExternal()) throw Napi::TypeError::New(info.Env(), "trainers are made by openTrainer");
  session_ = std::make_shared<Session>(*info[0].As<Napi::External<std::shared_ptr<Trainer>>>().Data());
}

TrainerWrap::~TrainerWrap() {
  if (!session_) return;
  session_->cancelled = true;
  // WHY elsewhere: freeing waits for the layer in work, and the event loop must not.
  std::thread([session = std::move(session_)]() mutable { session.reset(); }).detach();
}

std::shared_ptr<TrainerWrap::Session> TrainerWrap::open_or_throw() const {
  if (!session_) throw Error(ErrorCode::kClosed, "the trainer is closed");
  return session_;
}

template <typename Work, typename Convert>
Napi::Value TrainerWrap::enqueue(Napi::Env env, Work work, Convert convert) {
  const auto session = open_or_throw();
  const auto pending = PendingPromise::create(env);
  // The session joins its thread when it goes, so a job holds only a plain pointer to it.
  session->worker.push([session = session.get(), pending, work = std::move(work), convert]() mutable {
    const auto run = [&] {
      if (session->cancelled) throw Error(ErrorCode::kAborted, "training was aborted");
      return work(*session->trainer, session->cancelled);
    };
    settle(*pending, run, convert);
  });
  return pending->promise();
}

Napi::Value TrainerWrap::info(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return to_js(info.Env(), open_or_throw()->trainer->info()); });
}

Napi::Value TrainerWrap::accumulate(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    auto batch = std::make_shared<const TrainBatch>(to_train_batch(info[0].As<Napi::Object>()));
    if (!info[1].IsNumber()) reject_field("scale", "a number");
    const double scale = info[1].As<Napi::Number>().DoubleValue();
    return enqueue(
        info.Env(),
        [batch, scale](Trainer& t, const std::atomic<bool>& c) { return t.accumulate(*batch, scale, &c); },
        as_result);
  });
}

Napi::Value TrainerWrap::evaluate(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    auto batch = std::make_shared<const TrainBatch>(to_train_batch(info[0].As<Napi::Object>()));
    return enqueue(
        info.Env(), [batch](Trainer& t, const std::atomic<bool>& c) { return t.evaluate(*batch, &c); },
        as_result);
  });
}

Napi::Value TrainerWrap::step(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const StepOptions options = to_step_options(info[0].As<Napi::Object>());
    return enqueue(
        info.Env(), [options](Trainer& t, const std::atomic<bool>&) { return t.step(options); }, as_number);
  });
}

Napi::Value TrainerWrap::clear_gradients(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    return enqueue(
        info.Env(),
        [](Trainer& t, const std::atomic<bool>&) {
          t.clear_gradients();
          return Nothing{};
        },
        undefined);
  });
}

Napi::Value TrainerWrap::tensor_names(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const std::vector<std::string> names = open_or_throw()->trainer->tensor_names();
    Napi::Array out = Napi::Array::New(info.Env(), names.size());
    for (uint32_t i = 0; i < names.size(); ++i) out.Set(i, names[i]);
    return out;
  });
}

Napi::Value TrainerWrap::tensor(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const std::string name = to_text(info[0], "name");
    const TensorField field = to_tensor_field(info[1]);
    return enqueue(
        info.Env(), [name, field](Trainer& t, const std::atomic<bool>&) { return t.tensor(name, field); },
        as_floats);
  });
}

Napi::Value TrainerWrap::set_tensor(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const std::string name = to_text(info[0], "name");
    auto values = std::make_shared<const std::vector<float>>(copy_floats(info[1], "values"));
    return enqueue(
        info.Env(),
        [name, values](Trainer& t, const std::atomic<bool>&) {
          t.set_tensor(name, *values);
          return Nothing{};
        },
        undefined);
  });
}

Napi::Value TrainerWrap::save_model(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const std::string path = to_text(info[0], "path");
    const DType dtype = to_dtype(info[1]);
    const SaveForm form = to_save_form(info[2]);
    return enqueue(
        info.Env(),
        [=](Trainer& t, const std::atomic<bool>&) {
          t.save_model(path, dtype, form);
          return Nothing{};
        },
        undefined);
  });
}

Napi::Value TrainerWrap::save_state(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const std::string path = to_text(info[0], "path");
    return enqueue(
        info.Env(),
        [path](Trainer& t, const std::atomic<bool>&) {
          t.save_state(path);
          return Nothing{};
        },
        undefined);
  });
}

Napi::Value TrainerWrap::load_state(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const std::string path = to_text(info[0], "path");
    return enqueue(
        info.Env(),
        [path](Trainer& t, const std::atomic<bool>&) {
          t.load_state(path);
          return double(t.num_steps());
        },
        as_number);
  });
}

// Stops what runs between two layers and refuses what comes after it.
Napi::Value TrainerWrap::abort(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    open_or_throw()->cancelled = true;
    return info.Env().Undefined();
  });
}

Napi::Value TrainerWrap::close(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto pending = PendingPromise::create(info.Env());
    const auto done = [](Napi::Env env) { return env.Undefined(); };
    if (!session_) {
      pending->resolve(done);
      return pending->promise();
    }
    session_->cancelled = true;
    pending->settle_from_thread(
        [session = std::exchange(session_, nullptr), pending = pending.get(), done]() mutable {
          session.reset();
          pending->resolve(done);
        });
    return pending->promise();
  });
}

}  // namespace mmprm::addon
