// A persistent pool: the caller and `num_threads - 1` workers share out the units of one loop at a time.
//
// Results never depend on who ran what, because kernels are pure functions of their units. A loop ends when its
// units are done, whether or not every worker has seen it: a worker that the system took off the processor
// holds up nobody unless it has a range in hand, and finds nothing to do when it comes back.
// Workers spin briefly after a loop (the next one follows within microseconds inside a forward pass) and then
// sleep. WHY a short spin: a spinning worker on a machine with as many runnable threads as cores starves the
// very thread it waits for.
#pragma once
#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace mmprm {

class ThreadPool {
 public:
  explicit ThreadPool(int num_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(begin, end) on disjoint ranges that cover [0, units), at most `grain` units each, and returns
  // when all are done. Called by one thread at a time, never from inside a body. Bodies must not throw.
  template <typename Body>
  void run(int64_t units, int64_t grain, Body&& body) {
    if (units <= 0) return;
    if (workers_.empty() || units <= grain) {
      body(int64_t{0}, units);
      return;
    }
    run_shared(
        units, grain,
        [](void* b, int64_t begin, int64_t end) {
          (*static_cast<std::remove_reference_t<Body>*>(b))(begin, end);
        },
        &body);
  }

 private:
  using Call = void (*)(void* body, int64_t begin, int64_t end);

  void run_shared(int64_t units, int64_t grain, Call call, void* body);
  void work();
  void take_ranges();

  std::atomic<uint32_t> epoch_{0};  // one per loop; sleeping workers wait for it to change
  std::atomic<bool> stopping_{false};
  // Ranges of the current loop that nobody has claimed (or fewer than zero), and that are not done.
  // Each on a cache line of its own: claims must not take the line from under the one who waits for the end.
  alignas(64) std::atomic<int64_t> num_unclaimed_{0};
  alignas(64) std::atomic<int32_t> num_undone_{0};
  // The current loop, read only by who has claimed one of its ranges: it cannot end before that range is done.
  alignas(64) int64_t units_ = 0;
  int64_t grain_ = 1, num_ranges_ = 0;
  Call call_ = nullptr;
  void* body_ = nullptr;
  std::vector<std::thread> workers_;
};

}  // namespace mmprm
