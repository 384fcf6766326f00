// The oracle of layernorm: one row at a time, in double.
#include <cmath>

#include "base/float_types.h"
#include "kernels/layernorm/layernorm.h"

namespace mmprm::reference {
namespace {

void run(const LayernormArgs& args, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    const float* x = args.x + r * args.x_stride;
    double sum = 0, squares = 0;
    for (int c = 0; c < args.C; ++c) sum += x[c];
    const double mean = sum / args.C;
    for (int c = 0; c < args.C; ++c) squares += (x[c] - mean) * (x[c] - mean);
    const double scale = 1.0 / std::sqrt(squares / args.C + args.eps);
    for (int c = 0; c < args.C; ++c) {
      const double y = (x[c] - mean) * scale * args.weight_C[c] + args.bias_C[c];
      store_from_f32(args.y, args.y_dtype, r * args.y_stride + c, float(y));
    }
  }
}

}  // namespace

extern const LayernormKernel layernorm;
const LayernormKernel layernorm = {run};

}  // namespace mmprm::reference
