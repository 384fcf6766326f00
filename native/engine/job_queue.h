// One thread that runs jobs in order, and between them one step at a time of its background work. A job is
// told whether to run or to fail (the queue has closed).
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace mmprm {

// All of it is called on the queue's thread.
class BackgroundWork {
 public:
  virtual ~BackgroundWork() = default;
  virtual bool has_work() const = 0;  // asked again after every job and step
  virtual void step() = 0;            // must not throw
  virtual void closed_down() = 0;     // the last call
};

class JobQueue {
 public:
  using Job = std::function<void(bool closed)>;

  explicit JobQueue(BackgroundWork& background) : background_(background), thread_([this] { work(); }) {}
  ~JobQueue() {
    close();
    join();
  }

  // False when the queue has closed; the job is then dropped without being called.
  bool push(Job job) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return false;
      jobs_.push_back(std::move(job));
    }
    wake_.notify_one();
    return true;
  }

  // Waiting jobs are called with closed = true, on the queue's thread. Does not wait.
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    wake_.notify_one();
  }

  // After close(): returns when the thread has ended. Not from that thread, and from one at a time.
  void join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  void work() {
    for (;;) {
      const bool busy = background_.has_work();
      Job job;
      bool closed;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return closed_ || busy || !jobs_.empty(); });
        if (!jobs_.empty()) {
          job = std::move(jobs_.front());
          jobs_.pop_front();
        }
        closed = closed_;
      }
      if (job) job(closed);
      if (!closed && background_.has_work()) background_.step();
      if (closed && !job) return background_.closed_down();
    }
  }

  BackgroundWork& background_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool closed_ = false;
  std::thread thread_;  // last: starts when everything above exists
};

}  // namespace mmprm
