// From any thread to the JavaScript thread: posts functions, settles promises.
//
// INVARIANT: no C++ exception leaves a function that Node calls, and once the environment is closing, the
// handle is never touched again.
#pragma once
#include <napi.h>

#include <functional>
#include <memory>
#include <mutex>

namespace mmprm::addon {

// Keeps the event loop alive while it exists.
class MainThread {
 public:
  explicit MainThread(Napi::Env env);
  ~MainThread();
  MainThread(const MainThread&) = delete;
  MainThread& operator=(const MainThread&) = delete;

  // `task` runs on the JavaScript thread, or never if the environment is closing.
  void post(std::function<void(Napi::Env)> task);

 private:
  // WHY shared with the handle's finalizer: Node frees the handle when its environment ends, whoever still
  // holds it.
  struct Handle {
    std::mutex mutex;
    napi_threadsafe_function function = nullptr;  // null: closed
  };
  static void finalized(napi_env env, void* data, void* hint);

  std::shared_ptr<Handle> handle_ = std::make_shared<Handle>();
};

// A promise that any thread may settle, once.
class PendingPromise : public std::enable_shared_from_this<PendingPromise> {
 public:
  static std::shared_ptr<PendingPromise> create(Napi::Env env);

  Napi::Promise promise() const { return deferred_.Promise(); }
  void resolve(std::function<Napi::Value(Napi::Env)> make_value);
  void reject(std::exception_ptr error);
  void post(std::function<void(Napi::Env)> task) { main_thread_.post(std::move(task)); }

 private:
  explicit PendingPromise(Napi::Env env) : deferred_(env), main_thread_(env) {}

  Napi::Promise::Deferred deferred_;
  MainThread main_thread_;
};

}  // namespace mmprm::addon
