#include "main_thread.h"

#include "guard.h"

namespace mmprm::addon {
namespace {

using Task = std::function<void(Napi::Env)>;

void run_task(napi_env env, napi_value, void*, void* data) {
  const std::unique_ptr<Task> task(static_cast<Task*>(data));
  if (env == nullptr) return;  // the environment went away first
  try {
    const Napi::HandleScope scope(env);
    (*task)(Napi::Env(env));
  } catch (...) {
    // Nobody is left to tell: settling fails only while the environment is being torn down.
  }
}

}  // namespace

MainThread::MainThread(Napi::Env env) {
  const Napi::String name = Napi::String::New(env, "mm-prm");
  auto shared = std::make_unique<std::shared_ptr<Handle>>(handle_);
  const napi_status status = napi_create_threadsafe_function(
      env, nullptr, nullptr, name, 0, 1, shared.get(), finalized, nullptr, run_task, &handle_->function);
  if (status != napi_ok) throw Error(ErrorCode::kInternal, "cannot reach the JavaScript thread from others");
  shared.release();
}

void MainThread::finalized(napi_env, void* data, void*) {
  const std::unique_ptr<std::shared_ptr<Handle>> shared(static_cast<std::shared_ptr<Handle>*>(data));
  const std::lock_guard lock((*shared)->mutex);
  (*shared)->function = nullptr;
}

MainThread::~MainThread() {
  const std::lock_guard lock(handle_->mutex);
  if (handle_->function) napi_release_threadsafe_function(handle_->function, napi_tsfn_release);
}

void MainThread::post(Task task) {
  auto owned = std::make_unique<Task>(std::move(task));
  const std::lock_guard lock(handle_->mutex);
  if (!handle_->function) return;
  if (napi_call_threadsafe_function(handle_->function, owned.get(), napi_tsfn_nonblocking) == napi_ok) {
    owned.release();
  } else {
    handle_->function = nullptr;
  }
}

std::shared_ptr<PendingPromise> PendingPromise::create(Napi::Env env) {
  return std::shared_ptr<PendingPromise>(new PendingPromise(env));
}

PendingPromise::~PendingPromise() {
  if (!thread_.joinable()) return;
  // Only an environment that ended first leaves the last reference with the thread itself.
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();
  } else {
    thread_.join();
  }
}

void PendingPromise::settle_from_thread(std::function<void()> work) {
  thread_ = std::thread([self = shared_from_this(), work = std::move(work)]() mutable {
    work();
    work = nullptr;  // what it holds goes before the last reference to the promise
  });
}

void PendingPromise::join() {
  if (thread_.joinable()) thread_.join();
}

void PendingPromise::resolve(std::function<Napi::Value(Napi::Env)> make_value) {
  main_thread_.post([self = shared_from_this(), make_value = std::move(make_value)](Napi::Env env) {
    self->join();
    try {
      self->deferred_.Resolve(make_value(env));
    } catch (...) {
      self->deferred_.Reject(to_js_error(env, std::current_exception()));
    }
  });
}

void PendingPromise::reject(std::exception_ptr error) {
  main_thread_.post([self = shared_from_this(), error](Napi::Env env) {
    self->join();
    self->deferred_.Reject(to_js_error(env, error));
  });
}

}  // namespace mmprm::addon
