#include "roofs.h"

#include <algorithm>
#include <atomic>
#include <ctime>

#include "cpu/aligned_buffer.h"
#include "kernels/roof/roof.h"

namespace mmprm {
namespace {

constexpr int kRepeats = 5;

// What the loops return goes here, or the compiler would leave them out.
std::atomic<int64_t> sink;

template <typename Body>
Seconds best_seconds(Body&& body) {
  Seconds best{1e30, 1e30};
  for (int i = 0; i < kRepeats; ++i) {
    const Seconds start = now();
    body();
    const Seconds taken = now() - start;
    best = {std::min(best.wall, taken.wall), std::min(best.cpu, taken.cpu)};
  }
  return best;
}

RoofTime flops_time(float (*loop)(int64_t), double flops_per_round, ThreadPool& pool) {
  constexpr int64_t kRounds = 1 << 18, kSharesPerThread = 8;
  const int64_t shares = kSharesPerThread * pool.num_threads();
  const Seconds seconds = best_seconds([&] {
    pool.run(shares, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) sink += int64_t(loop(kRounds));
    });
  });
  return {double(shares * kRounds) * flops_per_round, seconds};
}

RoofTime read_time(const RoofLoops& loops, ThreadPool& pool) {
  constexpr size_t kBytes = size_t(256) << 20, kShare = size_t(1) << 20;
  static const AlignedBuffer memory(kBytes);
  const Seconds seconds = best_seconds([&] {
    pool.run(kBytes / kShare, 1, [&](int64_t begin, int64_t end) {
      sink += loops.read(memory.data() + size_t(begin) * kShare, size_t(end - begin) * kShare);
    });
  });
  return {double(kBytes), seconds};
}

double clock_seconds(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

}  // namespace

Seconds now() { return {clock_seconds(CLOCK_MONOTONIC), clock_seconds(CLOCK_PROCESS_CPUTIME_ID)}; }
Seconds operator-(Seconds end, Seconds begin) { return {end.wall - begin.wall, end.cpu - begin.cpu}; }

RoofTime measure_roof(Roof roof, Isa isa, ThreadPool& pool) {
  const RoofLoops& loops = roof_loops(isa);
  const double per_round = 2.0 * loops.lanes * RoofLoops::kChains;
  if (roof == Roof::kReadBandwidth) return read_time(loops, pool);
  if (roof == Roof::kBf16Flops && loops.bf16_dot) return flops_time(loops.bf16_dot, 2 * per_round, pool);
  return flops_time(loops.f32_fma, per_round, pool);
}

const char* roof_name(Roof roof) {
  static const char* const names[] = {"f32 fma", "bf16 dot", "memory read"};
  return names[int(roof)];
}

}  // namespace mmprm
