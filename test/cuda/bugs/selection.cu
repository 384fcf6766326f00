// Places at which sums of whole numbers are passed, found by a block as the sampler does it: each warp sums a part of the row,
// learns what lies before it, and one of them walks.
#include "bugs/bugs.h"

namespace mmprm::bugs {
namespace {

constexpr int kThreads = 128, kWarps = kThreads / 32, kRow = 256, kEach = kRow / kWarps, kRounds = 6;

__host__ __device__ inline uint32_t mass(uint32_t v, int i, int round) {
  return v * uint32_t(1 + (i + round) % 3);
}
__host__ __device__ inline uint32_t target_of(uint32_t total, int round) {
  return total / (kRounds + 1) * uint32_t(round + 1);
}

template <Bug kBug>
__global__ void pick(uint32_t* row, int* places) {
  uint32_t* sums = dynamic_shared<uint32_t>();
  const int thread = int(threadIdx.x), lane = thread % 32, warp = thread / 32, first = warp * kEach;
  for (int i = thread; i < kRow; i += kThreads) row[i * 37 % kRow] += 1;  // another thread's to read
  if (kBug != Bug::kRowUnshared) __syncthreads();
  for (int round = 0; round < kRounds; ++round) {
    uint32_t mine = 0, before = 0, total = 0;
    for (int i = first + lane; i < first + kEach; i += 32) mine += mass(row[i], i, round);
    for (int x = 16; x > 0; x /= 2) mine += __shfl_xor_sync(~0u, mine, x);
    if (lane == 0) sums[warp] = mine;
    __syncthreads();
    for (int w = 0; w < kWarps; ++w) {
      if (w == warp) before = total;
      total += sums[w];
    }
    if (kBug != Bug::kSumsReused) __syncthreads();
    const uint32_t target = target_of(total, round);
    if (lane == 0 && target >= before && target - before < mine) {
      int i = first;
      for (uint32_t sum = before; (sum += mass(row[i], i, round)) <= target;) ++i;
      places[round] = i;
    }
  }
}

template <Bug kBug>
bool run() {
  std::vector<uint32_t> numbers(kRow);
  for (int i = 0; i < kRow; ++i) numbers[size_t(i)] = uint32_t(i * 29 % 11);
  Array<uint32_t> row(numbers);
  Array<int> places(std::vector<int>(kRounds, -1));
  launch(pick<kBug>, dim3(1), dim3(kThreads), kWarps * sizeof(uint32_t), nullptr, row.p, places.p);
  const std::vector<int> got = places.get();
  for (int round = 0; round < kRounds; ++round) {
    uint32_t total = 0, sum = 0;
    for (int i = 0; i < kRow; ++i) total += mass(numbers[size_t(i)] + 1, i, round);
    int i = 0;
    while ((sum += mass(numbers[size_t(i)] + 1, i, round)) <= target_of(total, round)) ++i;
    if (got[size_t(round)] != i) return false;
  }
  return true;
}

}  // namespace

bool selection(Bug bug) {
  switch (bug) {
    case Bug::kRowUnshared:
      return run<Bug::kRowUnshared>();
    case Bug::kSumsReused:
      return run<Bug::kSumsReused>();
    default:
      return run<Bug::kNone>();
  }
}

}  // namespace mmprm::bugs
