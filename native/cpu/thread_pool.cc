#include "cpu/thread_pool.h"

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
  num_ranges_ = (units - 1) / grain_ + 1;
  call_ = call;
  body_ = body;
  num_undone_.store(static_cast<int32_t>(num_ranges_), std::memory_order_relaxed);
  // From here on a worker that is still awake may claim, before it is told of a new epoch.
  num_unclaimed_.store(num_ranges_, std::memory_order_release);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  take_ranges();
  for (int32_t undone; (undone = num_undone_.load(std::memory_order_acquire)) != 0;)
    wait_while_equal(num_undone_, undone);
}

void ThreadPool::take_ranges() {
  int32_t num_done = 0;
  for (;;) {
    // INVARIANT: what this takes from a positive number is a range of the current loop, however late it comes:
    // the next loop overwrites the number only after every claimed range is done.
    const int64_t left = num_unclaimed_.fetch_sub(1, std::memory_order_acquire);
    if (left <= 0) break;
    const int64_t begin = (num_ranges_ - left) * grain_;
    call_(body_, begin, std::min(begin + grain_, units_));
    ++num_done;
  }
  // Told once and not range by range: a loop of microseconds feels every write that two threads share.
  if (num_done > 0 && num_undone_.fetch_sub(num_done, std::memory_order_acq_rel) == num_done)
    num_undone_.notify_one();
}

void ThreadPool::work() {
  for (uint32_t seen = 0;;) {
    wait_while_equal(epoch_, seen);
    seen = epoch_.load(std::memory_order_acquire);
    if (stopping_.load(std::memory_order_relaxed)) return;
    take_ranges();
  }
}

}  // namespace mmprm
