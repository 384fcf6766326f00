#include <cmath>

#include "kernels/adamw/adamw.h"

namespace mmprm::reference {
namespace {

void run(const AdamwArgs& args) {
  for (int64_t i = 0; i < args.size; ++i) {
    const double g = double(args.clip) * args.gradient[i];
    const double m = args.beta1 * args.m[i] + (1 - args.beta1) * g;
    const double v = args.beta2 * args.v[i] + (1 - args.beta2) * g * g;
    const double kept = args.weight[i] * (1 - args.learning_rate * args.decay);
    const double denominator = std::sqrt(v) / std::sqrt(args.correction2) + args.eps;
    args.m[i] = float(m);
    args.v[i] = float(v);
    args.weight[i] = float(kept - args.learning_rate / args.correction1 * m / denominator);
  }
}

double sum_of_squares(const float* x, int64_t size) {
  double sum = 0;
  for (int64_t i = 0; i < size; ++i) sum += double(x[i]) * x[i];
  return sum;
}

}  // namespace

extern const AdamwKernel adamw;
const AdamwKernel adamw = {run, sum_of_squares};

}  // namespace mmprm::reference
