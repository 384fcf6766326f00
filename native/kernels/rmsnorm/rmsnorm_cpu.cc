// rmsnorm, wide: one pass for the squares in two lanes of sums, one to scale and store.
#include "kernels/gemm/gemm_simd.h"
#include "kernels/rmsnorm/rmsnorm.h"

namespace mmprm::MMPRM_ISA {
namespace {

inline int lanes_from(int c, int end) { return end - c < kLanes ? end - c : kLanes; }

inline float sum_lanes(Vec v) {
  float lanes[kLanes];
  store(lanes, v);
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

float mean_square(const float* x, int C) {
  Vec even{}, odd{};
  for (int c = 0; c < C; c += 2 * kLanes) {
    const Vec a = load_first(x + c, lanes_from(c, C), Vec{});
    even = fma(a, a, even);
    if (c + kLanes >= C) break;
    const Vec b = load_first(x + c + kLanes, lanes_from(c + kLanes, C), Vec{});
    odd = fma(b, b, odd);
  }
  return sum_lanes(even + odd) / float(C);
}

void run(const RmsnormArgs& args, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    const float* x = args.x + (args.x_rows ? args.x_rows[r] : r) * args.x_stride;
    const Vec scale = splat(1.0f / __builtin_sqrtf(mean_square(x, args.C) + args.eps), Vec{});
    for (int c = 0; c < args.C; c += kLanes) {
      const int lanes = lanes_from(c, args.C);
      const Vec y = load_first(x + c, lanes, Vec{}) * scale * load_first(args.weight_C + c, lanes, Vec{});
      if (args.y_dtype == DType::kBF16) {
        store_first_bf16(static_cast<uint16_t*>(args.y) + r * args.y_stride + c, lanes, y);
      } else {
        store_first(static_cast<float*>(args.y) + r * args.y_stride + c, lanes, y);
      }
    }
  }
}

}  // namespace

extern const RmsnormKernel rmsnorm;
const RmsnormKernel rmsnorm = {run};

}  // namespace mmprm::MMPRM_ISA
