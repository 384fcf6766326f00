#include "neighbours.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <system_error>

#include "roofs.h"

namespace mmprm {
namespace {

constexpr int kUnits = 12;

// Processes that compute until this object goes, or its process dies.
class Neighbours {
 public:
  explicit Neighbours(int count) {
    for (int i = 0; i < count; ++i) {
      const pid_t child = fork();
      if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
      if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (volatile unsigned n = 0;;) n = n + 1;
      }
      children_.push_back(child);
    }
  }
  ~Neighbours() {
    for (pid_t child : children_) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
  }

 private:
  std::vector<pid_t> children_;
};

// WHY out of line: a compiler that sees all units at once would vectorise across them, for one thread only.
__attribute__((noinline)) double compute(double x, int rounds) {
  for (int i = 0; i < rounds; ++i) x = x * 0.999 + 0.001;
  return x;
}

// Milliseconds of a step.
double time_step(const StepShape& shape, ThreadPool& pool) {
  std::array<double, kUnits> values{};
  const Seconds start = now();
  for (int loop = 0; loop < shape.loops; ++loop) {
    pool.run(kUnits, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) values[size_t(i)] = compute(values[size_t(i)], shape.unit_rounds);
    });
    values[0] = compute(values[0], shape.serial_rounds);
  }
  const double milliseconds = 1e3 * (now() - start).wall;
  return values[0] < 0 ? 0 : milliseconds;
}

double at_fraction(std::vector<double> values, double fraction) {
  std::sort(values.begin(), values.end());
  return values[size_t(double(values.size() - 1) * fraction)];
}

}  // namespace

NeighboursResult measure_neighbours(const StepShape& shape, int neighbours, int threads, double seconds) {
  const Neighbours busy(neighbours);  // before the pools: a process with threads should not fork
  ThreadPool one(1), shared(threads);
  std::vector<double> one_ms, shared_ms, ratios;
  const Seconds start = now();
  while (ratios.size() < 5 || (now() - start).wall < seconds) {
    const bool one_first = ratios.size() % 2 == 0;
    const double first = time_step(shape, one_first ? one : shared),
                 second = time_step(shape, one_first ? shared : one);
    one_ms.push_back(one_first ? first : second);
    shared_ms.push_back(one_first ? second : first);
    ratios.push_back(shared_ms.back() / one_ms.back());
  }
  return {shape.name,
          neighbours,
          at_fraction(one_ms, 0.5),
          at_fraction(shared_ms, 0.5),
          at_fraction(shared_ms, 0.95),
          at_fraction(ratios, 0.5),
          int(ratios.size())};
}

}  // namespace mmprm
