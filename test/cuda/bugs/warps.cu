// Sums by shuffles into chunks, chunks merged by another kernel; and what blocks may not do to each other.
#include "bugs/bugs.h"

namespace mmprm::bugs {
namespace {

constexpr int kChunk = 64;

template <Bug kBug>
__global__ void sum_chunks(const float* x, float* part, int n) {
  const int lane = int(threadIdx.x), first = int(blockIdx.x) * kChunk;
  float sum = 0;
  for (int i = first + lane; i < first + kChunk && i < n; i += 32) sum += x[i];
  for (int step = 16; step > 0; step /= 2) {
    if (kBug == Bug::kLaneMissing && lane == 31 && step == 4) continue;
    sum += __shfl_xor_sync(~0u, sum, step);
  }
  if (lane == 0) part[blockIdx.x] = sum;
}

__global__ void merge(const float* part, float* y, int chunks) {
  float sum = 0;
  for (int c = 0; c < chunks; ++c) sum += part[c];
  y[threadIdx.x] = sum;
}

template <Bug kBug>
bool run() {
  const int n = 150, chunks = 3;
  const std::vector<float> x(size_t(n), 1.0f);
  Array<float> dx(x), part(4), y(1);
  launch(sum_chunks<kBug>, dim3(chunks), dim3(32), 0, nullptr, dx.p, part.p, n);
  launch(merge, dim3(1), dim3(1), 0, nullptr, part.p, y.p, kBug == Bug::kUnwritten ? chunks + 1 : chunks);
  return y.get()[0] == float(n);
}

template <Bug kBug>
__global__ void touch(float* x, float* y) {
  const int i = int(threadIdx.x), mine = int(blockIdx.x) * 64 + i;
  x[mine] = float(mine);
  if (kBug == Bug::kTwoWriters && i == 7) x[255] = 1;  // the last block's own
  y[mine] = kBug == Bug::kReadOther ? x[(int(blockIdx.x) ^ 1) * 64 + 63 - i] * 0 + float(mine) : x[mine];
}

template <Bug kBug>
bool run_blocks() {
  Array<float> x(256), y(256);
  cudaMemset(x.p, 0, 1024);
  launch(touch<kBug>, dim3(4), dim3(64), 0, nullptr, x.p, y.p);
  const std::vector<float> got = y.get();
  for (int i = 0; i < 255; ++i)
    if (got[size_t(i)] != float(i)) return false;
  return true;
}

}  // namespace

bool warps(Bug bug) {
  switch (bug) {
    case Bug::kLaneMissing:
      return run<Bug::kLaneMissing>();
    case Bug::kUnwritten:
      return run<Bug::kUnwritten>();
    default:
      return run<Bug::kNone>();
  }
}

bool blocks(Bug bug) {
  switch (bug) {
    case Bug::kTwoWriters:
      return run_blocks<Bug::kTwoWriters>();
    case Bug::kReadOther:
      return run_blocks<Bug::kReadOther>();
    default:
      return run_blocks<Bug::kNone>();
  }
}

}  // namespace mmprm::bugs
