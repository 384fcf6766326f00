// matmul, reference: one double accumulation per element. A unit is one row.
#include "base/float_types.h"
#include "kernels/matmul/matmul.h"

namespace mmprm::reference {
namespace {

double element(const MatmulOperand& x, bool across, int64_t i, int64_t k, DType compute) {
  const float f = x.transposed == across ? x.data[k * x.stride + i] : x.data[i * x.stride + k];
  return compute == DType::kBF16 ? bf16_to_f32(f32_to_bf16(f)) : f;
}

size_t packed_floats(const MatmulArgs&) { return 0; }
int64_t pack_units(const MatmulArgs&) { return 0; }
void pack(const MatmulArgs&, int64_t, int64_t) {}
int64_t units(const MatmulArgs& args) { return args.M; }

void run(const MatmulArgs& args, int64_t unit_begin, int64_t unit_end) {
  for (int64_t m = unit_begin; m < unit_end; ++m) {
    for (int64_t n = 0; n < args.N; ++n) {
      double sum = args.addend ? args.addend[m * args.addend_stride + n] : 0.0;
      if (args.bias_N) sum += args.bias_N[n];
      for (int64_t k = 0; k < args.K; ++k) {
        sum += element(args.a, true, m, k, args.compute) * element(args.b, false, n, k, args.compute);
      }
      args.c[m * args.c_stride + n] = float(sum);
    }
  }
}

}  // namespace

extern const MatmulKernel matmul;
const MatmulKernel matmul = {packed_floats, pack_units, pack, units, run};

}  // namespace mmprm::reference
