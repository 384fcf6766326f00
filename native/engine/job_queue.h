// One thread that runs jobs in order. A job is told whether to run or to fail (the queue has closed).
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace mmprm {

class JobQueue {
 public:
  using Job = std::function<void(bool closed)>;

  JobQueue() : thread_([this] { work(); }) {}
  ~JobQueue() {
    close();
    if (thread_.joinable()) thread_.join();
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

 private:
  void work() {
    for (;;) {
      Job job;
      bool closed;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return closed_ || !jobs_.empty(); });
        if (jobs_.empty()) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
        closed = closed_;
      }
      job(closed);
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool closed_ = false;
  std::thread thread_;  // last: starts when everything above exists
};

}  // namespace mmprm
