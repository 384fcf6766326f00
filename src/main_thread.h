// From any thread to the JavaScript thread: posts functions, settles promises.
//
// INVARIANT: no C++ exception leaves a function that Node calls, and once the environment is closing, the
// handle is never touched again.
#pragma once
#include <napi.h>

#include <functional>
#include <memory>
#include <mutex>
#include <thread>

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
  // WHY shared with the handle's finalizer: Node frees the handle when its environment
  // ends, whoever still holds it.
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
  ~PendingPromise();

  // Runs `work`, which settles this promise, on a thread of its own. Called at most once, on the JavaScript
  // thread. WHY not Node's pool: such work takes seconds, and the four threads there are the file system's.
  // The thread has ended when the promise settles: it does not outlive the environment that awaits it.
  void settle_from_thread(std::function<void()> work);

  Napi::Promise promise() const { return deferred_.Promise(); }
  void resolve(std::function<Napi::Value(Napi::Env)> make_value);
  void reject(std::exception_ptr error);
  void post(std::function<void(Napi::Env)> task) { main_thread_.post(std::move(task)); }

 private:
  explicit PendingPromise(Napi::Env env) : deferred_(env), main_thread_(env) {}
  void join();

  Napi::Promise::Deferred deferred_;
  MainThread main_thread_;
  std::thread thread_;
};

}  // namespace mmprm::addon
