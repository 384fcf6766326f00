#include "cpu/thread_pool.h"

#include <signal.h>

#include <chrono>

#include "harness.h"

namespace mmprm {
namespace {

using namespace std::chrono_literals;

TEST(pool_gives_every_unit_to_one_range_at_most_a_grain_long) {
  ThreadPool pool(4);
  for (int64_t loop = 0; loop < 3000; ++loop) {
    const int64_t units = loop % 61, grain = 1 + loop % 7;
    // Plain memory that dies with the loop: a worker that comes late into it is a race.
    std::vector<int64_t> visits(size_t(units), 0);
    std::atomic<bool> fits{true};
    pool.run(units, grain, [&](int64_t begin, int64_t end) {
      if (begin < 0 || begin >= end || end > units) fits = false;
      if (end - begin > grain && end - begin != units) fits = false;
      for (int64_t i = begin; i < end; ++i) visits[size_t(i)] += 1 + loop;
    });
    CHECK(fits);
    for (int64_t visit : visits) CHECK_EQ(visit, 1 + loop);
  }
}

TEST(pool_can_end_right_after_a_loop) {
  for (int i = 0; i < 200; ++i) {
    std::atomic<int64_t> sum{0};
    ThreadPool(3).run(10, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
    CHECK_EQ(sum.load(), 10);
  }
}

// ThreadSanitizer holds signals back until a thread calls something that it knows, which a sleeping worker does not.
#if !defined(__SANITIZE_THREAD__)

std::atomic<bool> is_held, let_go;

void hold(int) {
  is_held = true;
  while (!let_go) std::this_thread::sleep_for(1ms);
}

// The worker of a pool of two: both threads are in the loop at once.
pthread_t worker_of(ThreadPool& pool) {
  std::atomic<int> arrived{0};
  const pthread_t self = pthread_self();
  pthread_t worker = self;
  pool.run(2, 1, [&](int64_t, int64_t) {
    ++arrived;
    while (arrived < 2) std::this_thread::yield();
    if (!pthread_equal(pthread_self(), self)) worker = pthread_self();
  });
  return worker;
}

TEST(pool_does_not_wait_for_a_worker_that_is_off_the_processor) {
  ThreadPool pool(2);
  const pthread_t worker = worker_of(pool);
  // A signal handler that does not return keeps the worker, which has no range in hand, away from every loop.
  struct sigaction action = {}, before;
  action.sa_handler = hold;
  action.sa_flags = SA_RESTART;
  is_held = let_go = false;
  sigaction(SIGUSR2, &action, &before);
  CHECK_EQ(pthread_kill(worker, SIGUSR2), 0);
  while (!is_held) std::this_thread::sleep_for(1ms);

  std::atomic<bool> finished{false};
  std::thread watchdog([&] {
    for (int i = 0; i < 2000 && !finished; ++i) std::this_thread::sleep_for(10ms);
    let_go = true;
  });
  int64_t sum = 0;  // one thread alone adds
  for (int loop = 0; loop < 100; ++loop)
    pool.run(8, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
  const bool ended_alone = !let_go;
  finished = true;
  watchdog.join();
  CHECK(ended_alone);
  CHECK_EQ(sum, 800);

  // Back on the processor it shares loops as before.
  sigaction(SIGUSR2, &before, nullptr);
  CHECK(pthread_equal(worker_of(pool), worker));
}

#endif

}  // namespace
}  // namespace mmprm
