// rmsnorm, one instruction set. A row is folded by kLanes · kSums accumulators, whatever stands beside it.
#include "kernels/rmsnorm/rmsnorm.h"
#include "kernels/simd/vector.h"

namespace mmprm::MMPRM_ISA {
namespace {

constexpr int kSums = 4;  // chains of additions that run side by side

float sum_of_squares(const float* x, int C) {
  Vec sums[kSums] = {};
  int c = 0;
  for (; c + kSums * kLanes <= C; c += kSums * kLanes) {
#pragma GCC unroll 4
    for (int i = 0; i < kSums; ++i) {
      const Vec v = load(x + c + i * kLanes);
      sums[i] = fma(v, v, sums[i]);
    }
  }
  for (int i = 0; c < C; c += kLanes, ++i) {
    const Vec v = load_first(x + c, C - c);
    sums[i] = fma(v, v, sums[i]);
  }
  return sum_of_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

void run(const RmsnormArgs& args, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    const float* x = args.x + (args.x_rows ? args.x_rows[r] : r) * args.x_stride;
    const float mean = sum_of_squares(x, args.C) / float(args.C);
    const Vec scale = splat(1.0f / __builtin_sqrtf(mean + args.eps));
    for_vectors(args.C, [&](int c, int lanes) {
      const Vec y = load_first(x + c, lanes) * scale * load_first(args.weight_C + c, lanes);
      store_as(args.y, args.y_dtype, r * args.y_stride + c, lanes, y);
    });
  }
}

}  // namespace

extern const RmsnormKernel rmsnorm;
const RmsnormKernel rmsnorm = {run};

}  // namespace mmprm::MMPRM_ISA
