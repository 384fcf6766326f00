#include <algorithm>
#include <cmath>

#include "kernels/cross_entropy/cross_entropy.h"

namespace mmprm::reference {
namespace {

void run(const CrossEntropyArgs& args, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    float* x = args.logits + r * args.stride;
    const double max = *std::max_element(x, x + args.V);
    double sum = 0;
    for (int v = 0; v < args.V; ++v) sum += std::exp(x[v] - max);
    for (int v = 0; v < args.V; ++v) x[v] = float(args.scale[r] * std::exp(x[v] - max) / sum);
    args.lse[r] = float(max + std::log(sum));
    args.largest[r] = float(max);
  }
}

}  // namespace

extern const CrossEntropyKernel cross_entropy;
const CrossEntropyKernel cross_entropy = {run};

}  // namespace mmprm::reference
