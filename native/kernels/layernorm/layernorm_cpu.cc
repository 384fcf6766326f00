// layernorm, wide: mean, then variance, then scale and store; each sum in one order.
#include "kernels/gemm/gemm_simd.h"
#include "kernels/layernorm/layernorm.h"

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

float mean_of(const float* x, int C) {
  Vec sum{};
  for (int c = 0; c < C; c += kLanes) sum = sum + load_first(x + c, lanes_from(c, C), Vec{});
  return sum_lanes(sum) / float(C);
}

float variance_of(const float* x, float mean, int C) {
  Vec sum{};
  for (int c = 0; c < C; c += kLanes) {
    const int lanes = lanes_from(c, C);
    // Lanes beyond the row hold zeros on both sides, and so add nothing.
    float shifts[kLanes] = {};
    for (int i = 0; i < lanes; ++i) shifts[i] = mean;
    const Vec d = load_first(x + c, lanes, Vec{}) - load(shifts, Vec{});
    sum = fma(d, d, sum);
  }
  return sum_lanes(sum) / float(C);
}

void run(const LayernormArgs& args, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    const float* x = args.x + r * args.x_stride;
    const float mean = mean_of(x, args.C);
    const Vec scale = splat(1.0f / __builtin_sqrtf(variance_of(x, mean, args.C) + args.eps), Vec{});
    const Vec shift = splat(mean, Vec{});
    for (int c = 0; c < args.C; c += kLanes) {
      const int lanes = lanes_from(c, args.C);
      const Vec normed = (load_first(x + c, lanes, Vec{}) - shift) * scale;
      const Vec y =
          fma(normed, load_first(args.weight_C + c, lanes, Vec{}), load_first(args.bias_C + c, lanes, Vec{}));
      if (args.y_dtype == DType::kBF16) {
        store_first_bf16(static_cast<uint16_t*>(args.y) + r * args.y_stride + c, lanes, y);
      } else {
        store_first(static_cast<float*>(args.y) + r * args.y_stride + c, lanes, y);
      }
    }
  }
}

}  // namespace

extern const LayernormKernel layernorm;
const LayernormKernel layernorm = {run};

}  // namespace mmprm::MMPRM_ISA
