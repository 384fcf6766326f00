// layernorm, one instruction set. Both sums fold a row by kLanes · kSums
// accumulators, whatever stands beside it.
#include "kernels/layernorm/layernorm.h"
#include "kernels/simd/vector.h"

namespace mmprm::MMPRM_ISA {
namespace {

constexpr int kSums = 4;  // chains of additions that run side by side

// Sum over c of term(x_c); term(vector, lanes) keeps unused lanes zero.
template <typename Term>
inline float sum_over(const float* x, int C, Term&& term) {
  Vec sums[kSums] = {};
  int c = 0;
  for (; c + kSums * kLanes <= C; c += kSums * kLanes) {
#pragma GCC unroll 4
    for (int i = 0; i < kSums; ++i) sums[i] = term(sums[i], load(x + c + i * kLanes));
  }
  int i = 0;
  for (; c + kLanes <= C; c += kLanes, ++i) sums[i] = term(sums[i], load(x + c));
  if (c < C) {
    float rest[kLanes] = {};
    store(rest, term(Vec{}, load_first(x + c, C - c)));
    sums[i] = sums[i] + load_first(rest, C - c);
  }
  return sum_of_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

void run(const LayernormArgs& args, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    const float* x = args.x + r * args.x_stride;
    const float sum = sum_over(x, args.C, [](Vec total, Vec v) { return total + v; });
    const Vec mean = splat(sum / float(args.C));
    const float squares =
        sum_over(x, args.C, [&](Vec total, Vec v) { return fma(v - mean, v - mean, total); });
    const Vec scale = splat(1.0f / __builtin_sqrtf(squares / float(args.C) + args.eps));
    for_vectors(args.C, [&](int c, int lanes) {
      const Vec centred = (load_first(x + c, lanes) - mean) * scale;
      const Vec y = fma(centred, load_first(args.weight_C + c, lanes), load_first(args.bias_C + c, lanes));
      store_as(args.y, args.y_dtype, r * args.y_stride + c, lanes, y);
    });
  }
}

}  // namespace

extern const LayernormKernel layernorm;
const LayernormKernel layernorm = {run};

}  // namespace mmprm::MMPRM_ISA
