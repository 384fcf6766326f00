// adamw, wide: one pass over weight, gradient and both moments.
#include "kernels/adamw/adamw.h"
#include "kernels/simd/vector.h"

namespace mmprm::MMPRM_ISA {
namespace {

void run(const AdamwArgs& args) {
  const Vec clip = splat(args.clip), eps = splat(float(args.eps));
  const Vec beta1 = splat(float(args.beta1)), rest1 = splat(float(1 - args.beta1));
  const Vec beta2 = splat(float(args.beta2)), rest2 = splat(float(1 - args.beta2));
  const Vec kept = splat(float(1 - args.learning_rate * args.decay));
  const Vec rate = splat(float(-args.learning_rate / args.correction1));
  const Vec inverse = splat(float(1 / __builtin_sqrt(args.correction2)));
  for (int64_t i = 0; i < args.size; i += kLanes) {
    const int lanes = args.size - i < kLanes ? int(args.size - i) : kLanes;
    const Vec g = load_first(args.gradient + i, lanes) * clip;
    const Vec m = fma(load_first(args.m + i, lanes), beta1, g * rest1);
    const Vec v = fma(load_first(args.v + i, lanes), beta2, g * g * rest2);
    const Vec step = m / fma(square_root(v), inverse, eps);
    store_first(args.m + i, lanes, m);
    store_first(args.v + i, lanes, v);
    store_first(args.weight + i, lanes, fma(rate, step, load_first(args.weight + i, lanes) * kept));
  }
}

double sum_of_squares(const float* x, int64_t size) {
  double sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= size; i += 8) {
    for (int lane = 0; lane < 8; ++lane) sums[lane] += double(x[i + lane]) * x[i + lane];
  }
  double sum = 0;
  for (; i < size; ++i) sum += double(x[i]) * x[i];
  for (double s : sums) sum += s;
  return sum;
}

}  // namespace

extern const AdamwKernel adamw;
const AdamwKernel adamw = {run, sum_of_squares};

}  // namespace mmprm::MMPRM_ISA
