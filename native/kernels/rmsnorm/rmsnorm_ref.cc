// The oracle of rmsnorm: one row at a time, in double.
#include <cmath>

#include "base/float_types.h"
#include "kernels/rmsnorm/rmsnorm.h"

namespace mmprm::reference {
namespace {

void run(const RmsnormArgs& args, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    const float* x = args.x + (args.x_rows ? args.x_rows[r] : r) * args.x_stride;
    double squares = 0;
    for (int c = 0; c < args.C; ++c) squares += double(x[c]) * x[c];
    const double scale = 1.0 / std::sqrt(squares / args.C + args.eps);
    for (int c = 0; c < args.C; ++c) {
      store_from_f32(args.y, args.y_dtype, r * args.y_stride + c, float(x[c] * scale * args.weight_C[c]));
    }
  }
}

}  // namespace

extern const RmsnormKernel rmsnorm;
const RmsnormKernel rmsnorm = {run};

}  // namespace mmprm::reference
