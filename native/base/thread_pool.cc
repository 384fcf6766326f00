#include "base/thread_pool.h"

#include <algorithm>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mmprm {
namespace {

constexpr int kSpins = 1000;  // some ten microseconds

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

// Returns once `value` differs from `old`: spins a little, then sleeps.
template <typename T>
void wait_while_equal(const std::atomic<T>& value, T old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    relax();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int num_threads) {
  for (int i = 1; i < num_threads; ++i) workers_.emplace_back([this] { work(); });
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_shared(int64_t units, int64_t grain, Call call, void* body) {
  units_ = units;
  grain_ = std::max<int64_t>(grain, 1);
  call_ = call;
  body_ = body;
  next_unit_.store(0, std::memory_order_relaxed);
  num_busy_.store(static_cast<int32_t>(workers_.size()), std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  take_units();
  for (int32_t busy; (busy = num_busy_.load(std::memory_order_acquire)) != 0;)
    wait_while_equal(num_busy_, busy);
}

void ThreadPool::take_units() {
  for (;;) {
    const int64_t begin = next_unit_.fetch_add(grain_, std::memory_order_relaxed);
    if (begin >= units_) return;
    call_(body_, begin, std::min(begin + grain_, units_));
  }
}

void ThreadPool::work() {
  for (uint32_t seen = 0;;) {
    wait_while_equal(epoch_, seen);
    // INVARIANT: a new loop starts only after every worker has finished the last one, so none is missed.
    seen = epoch_.load(std::memory_order_acquire);
    if (stopping_.load(std::memory_order_relaxed)) return;
    take_units();
    if (num_busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) num_busy_.notify_one();
  }
}

}  // namespace mmprm
