// rowwise, wide: whole vectors with a masked last one.
#include "kernels/gemm/gemm_simd.h"
#include "kernels/rowwise/rowwise.h"

namespace mmprm::MMPRM_ISA {
namespace {

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// body(c, lanes) over the vectors of a row; the full ones get a constant, so their masks disappear.
template <typename Body>
inline void for_each_vector(int64_t count, Body body) {
  int64_t c = 0;
  for (; c + kLanes <= count; c += kLanes) body(c, kLanes);
  if (c < count) body(c, int(count - c));
}

inline Vec load_lanes(const float* p, int lanes) {
  return lanes == kLanes ? load(p, Vec{}) : load_first(p, lanes, Vec{});
}
inline void store_lanes(float* p, int lanes, Vec v) {
  if (lanes == kLanes) {
    store(p, v);
  } else {
    store_first(p, lanes, v);
  }
}

inline float sum_of(Vec v) {
  float lanes[kLanes];
  store(lanes, v);
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

void rotate(const RotateArgs& args, int64_t row_begin, int64_t row_end) {
  const int D = args.head_dim_D, half = D / 2;
  const Vec sign = splat(args.sign, Vec{});
  for (int64_t r = row_begin; r < row_end; ++r) {
    const float* cos = args.cos_sin + int64_t(args.positions_T[r]) * D;
    const float* sin = cos + half;
    for (int h = 0; h < args.num_heads; ++h) {
      float* x = args.qkv + r * args.stride + h * D;
      for_each_vector(half, [&](int64_t i, int lanes) {
        const Vec low = load_lanes(x + i, lanes), high = load_lanes(x + half + i, lanes);
        const Vec c = load_lanes(cos + i, lanes), s = load_lanes(sin + i, lanes) * sign;
        store_lanes(x + i, lanes, low * c - high * s);
        store_lanes(x + half + i, lanes, high * c + low * s);
      });
    }
  }
}

inline Vec sigmoid(Vec x) {
  const Vec one = splat(1.0f, Vec{});
  return one / (one + exp(Vec{} - x));
}

void swiglu(const SwigluArgs& args, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    const float *gate = args.gate_up + r * args.gate_up_stride, *up = gate + args.F;
    float* y = args.y + r * args.y_stride;
    for_each_vector(args.F, [&](int64_t f, int lanes) {
      const Vec g = load_lanes(gate + f, lanes);
      store_lanes(y + f, lanes, g * sigmoid(g) * load_lanes(up + f, lanes));
    });
  }
}

void swiglu_grad(const SwigluArgs& args, int64_t row_begin, int64_t row_end) {
  const Vec one = splat(1.0f, Vec{});
  for (int64_t r = row_begin; r < row_end; ++r) {
    float *gate = args.gate_up + r * args.gate_up_stride, *up = gate + args.F,
          *y = args.y + r * args.y_stride;
    for_each_vector(args.F, [&](int64_t f, int lanes) {
      const Vec g = load_lanes(gate + f, lanes), u = load_lanes(up + f, lanes), dy = load_lanes(y + f, lanes);
      const Vec s = sigmoid(g), silu_g = g * s;
      store_lanes(y + f, lanes, silu_g * u);
      store_lanes(gate + f, lanes, dy * u * s * fma(g, one - s, one));
      store_lanes(up + f, lanes, dy * silu_g);
    });
  }
}

void gelu(const GeluArgs& args, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    const float* x = args.x + r * args.x_stride;
    float* y = args.y + r * args.y_stride;
    for_each_vector(args.F,
                    [&](int64_t f, int lanes) { store_lanes(y + f, lanes, gelu(load_lanes(x + f, lanes))); });
  }
}

void gelu_grad(const GeluArgs& args, int64_t row_begin, int64_t row_end) {
  const Vec half = splat(0.5f, Vec{}), minus_half = splat(-0.5f, Vec{});
  const Vec peak = splat(0.398942280f, Vec{});  // 1/√(2π)
  for (int64_t r = row_begin; r < row_end; ++r) {
    float *x = args.x + r * args.x_stride, *y = args.y + r * args.y_stride;
    for_each_vector(args.F, [&](int64_t f, int lanes) {
      const Vec v = load_lanes(x + f, lanes), dy = load_lanes(y + f, lanes);
      const Vec cdf = fma(half, erf_over_sqrt2(v), half), density = peak * exp(v * v * minus_half);
      store_lanes(y + f, lanes, v * cdf);
      store_lanes(x + f, lanes, dy * fma(v, density, cdf));
    });
  }
}

void scaled_add(const ScaledArgs& args, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    const int64_t row = r * args.stride;
    for_each_vector(args.C, [&](int64_t c, int lanes) {
      const Vec z = load_lanes(args.z + row + c, lanes), x = load_lanes(args.x + row + c, lanes);
      store_lanes(args.y + row + c, lanes, fma(load_lanes(args.scale_C + c, lanes), z, x));
    });
  }
}

void scaled_grad(const ScaledArgs& args, int64_t block_begin, int64_t block_end) {
  for (int64_t b = block_begin; b < block_end; ++b) {
    float* sum = args.partial + b * args.C;
    __builtin_memset(sum, 0, sizeof(float) * args.C);
    for (int64_t r = b * kPartialRows; r < smaller(args.rows, (b + 1) * kPartialRows); ++r) {
      const int64_t row = r * args.stride;
      for_each_vector(args.C, [&](int64_t c, int lanes) {
        const Vec dy = load_lanes(args.x + row + c, lanes);
        store_lanes(sum + c, lanes, fma(dy, load_lanes(args.z + row + c, lanes), load_lanes(sum + c, lanes)));
        store_lanes(args.y + row + c, lanes, dy * load_lanes(args.scale_C + c, lanes));
      });
    }
  }
}

struct RowStatistics {
  float mean, inverse;  // x̂ = (x - mean)·inverse
};

inline RowStatistics statistics(const float* x, int C, float eps, bool centred) {
  Vec sum{};
  if (centred) for_each_vector(C, [&](int64_t c, int lanes) { sum = sum + load_lanes(x + c, lanes); });
  const float mean = centred ? sum_of(sum) / float(C) : 0.0f;
  const Vec mean_v = splat(mean, Vec{});
  Vec squares{};
  for_each_vector(C, [&](int64_t c, int lanes) {
    Vec d = load_lanes(x + c, lanes) - mean_v;
    if (lanes < kLanes) {
      float kept[kLanes] = {};
      store_first(kept, lanes, d);
      d = load(kept, Vec{});
    }
    squares = fma(d, d, squares);
  });
  return {mean, 1.0f / __builtin_sqrtf(sum_of(squares) / float(C) + eps)};
}

// dx = inverse·(g - mean(g) - x̂·mean(g∘x̂)) with g = weight∘dy; without the mean(g) in an RMS norm.
void norm_grad_row(const NormGradArgs& args, int64_t r, float* d_weight, float* d_bias) {
  const float *x = args.x + r * args.x_stride, *dy = args.dy + r * args.dy_stride;
  const RowStatistics s = statistics(x, args.C, args.eps, d_bias != nullptr);
  const Vec mean = splat(s.mean, Vec{}), inverse = splat(s.inverse, Vec{});
  Vec sum_g{}, sum_gx{};
  for_each_vector(args.C, [&](int64_t c, int lanes) {
    const Vec x_hat = (load_lanes(x + c, lanes) - mean) * inverse, d = load_lanes(dy + c, lanes);
    const Vec g = load_lanes(args.weight_C + c, lanes) * d;  // zero in lanes that do not exist
    sum_g = sum_g + g;
    sum_gx = fma(g, x_hat, sum_gx);
    store_lanes(d_weight + c, lanes, fma(d, x_hat, load_lanes(d_weight + c, lanes)));
    if (d_bias) store_lanes(d_bias + c, lanes, d + load_lanes(d_bias + c, lanes));
  });
  const Vec mean_g = splat(d_bias ? sum_of(sum_g) / float(args.C) : 0.0f, Vec{});
  const Vec mean_gx = splat(sum_of(sum_gx) / float(args.C), Vec{});
  float* dx = args.dx + r * args.dx_stride;
  for_each_vector(args.C, [&](int64_t c, int lanes) {
    const Vec x_hat = (load_lanes(x + c, lanes) - mean) * inverse;
    const Vec g = load_lanes(args.weight_C + c, lanes) * load_lanes(dy + c, lanes);
    store_lanes(dx + c, lanes, fma(g - mean_g - x_hat * mean_gx, inverse, load_lanes(dx + c, lanes)));
  });
}

void norm_grad(const NormGradArgs& args, int64_t block_begin, int64_t block_end) {
  for (int64_t b = block_begin; b < block_end; ++b) {
    float* d_weight = args.weight_partial + b * args.C;
    float* d_bias = args.bias_partial ? args.bias_partial + b * args.C : nullptr;
    __builtin_memset(d_weight, 0, sizeof(float) * args.C);
    if (d_bias) __builtin_memset(d_bias, 0, sizeof(float) * args.C);
    for (int64_t r = b * kPartialRows; r < smaller(args.rows, (b + 1) * kPartialRows); ++r) {
      norm_grad_row(args, r, d_weight, d_bias);
    }
  }
}

void column_sum(const ColumnSumArgs& args, int64_t strip_begin, int64_t strip_end) {
  for (int64_t strip = strip_begin; strip < strip_end; ++strip) {
    const int64_t first = strip * kStripColumns;
    for_each_vector(smaller(kStripColumns, args.C - first), [&](int64_t c, int lanes) {
      Vec sum{};
      for (int64_t r = 0; r < args.rows; ++r)
        sum = sum + load_lanes(args.x + r * args.stride + first + c, lanes);
      store_lanes(args.sum + first + c, lanes, load_lanes(args.sum + first + c, lanes) + sum);
    });
  }
}

}  // namespace

extern const RowwiseKernel rowwise;
const RowwiseKernel rowwise = {rotate,     swiglu,      swiglu_grad, gelu,      gelu_grad,
                               scaled_add, scaled_grad, norm_grad,   column_sum};

}  // namespace mmprm::MMPRM_ISA
