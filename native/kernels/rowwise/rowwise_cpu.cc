// rowwise, wide: whole vectors with a masked last one.
#include "kernels/rowwise/rowwise.h"
#include "kernels/simd/activation.h"

namespace mmprm::MMPRM_ISA {
namespace {

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

void rotate(const RotateArgs& args, int64_t row_begin, int64_t row_end) {
  const int D = args.head_dim_D, half = D / 2;
  const Vec sign = splat(args.sign);
  for (int64_t r = row_begin; r < row_end; ++r) {
    const float* cos = args.cos_sin + args.positions_T[r] * args.cos_sin_stride;
    const float* sin = cos + half;
    for (int h = 0; h < args.num_heads; ++h) {
      float* x = args.qkv + r * args.stride + h * D;
      for_vectors(half, [&](int i, int lanes) {
        const Vec low = load_first(x + i, lanes), high = load_first(x + half + i, lanes);
        const Vec c = load_first(cos + i, lanes), s = load_first(sin + i, lanes) * sign;
        store_first(x + i, lanes, low * c - high * s);
        store_first(x + half + i, lanes, high * c + low * s);
      });
    }
  }
}

inline Vec sigmoid(Vec x) {
  const Vec one = splat(1.0f);
  return one / (one + exp(Vec{} - x));
}

void swiglu(const SwigluArgs& args, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    const float *gate = args.gate_up + r * args.gate_up_stride, *up = gate + args.F;
    float* y = args.y + r * args.y_stride;
    for_vectors(args.F, [&](int f, int lanes) {
      const Vec g = load_first(gate + f, lanes);
      store_first(y + f, lanes, g * sigmoid(g) * load_first(up + f, lanes));
    });
  }
}

void swiglu_grad(const SwigluArgs& args, int64_t row_begin, int64_t row_end) {
  const Vec one = splat(1.0f);
  for (int64_t r = row_begin; r < row_end; ++r) {
    float *gate = args.gate_up + r * args.gate_up_stride, *up = gate + args.F,
          *y = args.y + r * args.y_stride;
    for_vectors(args.F, [&](int f, int lanes) {
      const Vec g = load_first(gate + f, lanes), u = load_first(up + f, lanes), dy = load_first(y + f, lanes);
      const Vec s = sigmoid(g), silu_g = g * s;
      store_first(y + f, lanes, silu_g * u);
      store_first(gate + f, lanes, dy * u * s * fma(g, one - s, one));
      store_first(up + f, lanes, dy * silu_g);
    });
  }
}

void gelu(const GeluArgs& args, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    const float* x = args.x + r * args.x_stride;
    float* y = args.y + r * args.y_stride;
    for_vectors(args.F, [&](int f, int lanes) { store_first(y + f, lanes, gelu(load_first(x + f, lanes))); });
  }
}

void gelu_grad(const GeluArgs& args, int64_t row_begin, int64_t row_end) {
  const Vec half = splat(0.5f), minus_half = splat(-0.5f);
  const Vec peak = splat(0.398942280f);  // 1/√(2π)
  for (int64_t r = row_begin; r < row_end; ++r) {
    float *x = args.x + r * args.x_stride, *y = args.y + r * args.y_stride;
    for_vectors(args.F, [&](int f, int lanes) {
      const Vec v = load_first(x + f, lanes), dy = load_first(y + f, lanes);
      const Vec cdf = fma(half, erf_over_sqrt2(v), half), density = peak * exp(v * v * minus_half);
      store_first(y + f, lanes, v * cdf);
      store_first(x + f, lanes, dy * fma(v, density, cdf));
    });
  }
}

void gelu_tanh(const GeluArgs& args, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    const float* x = args.x + r * args.x_stride;
    float* y = args.y + r * args.y_stride;
    for_vectors(args.F,
                [&](int f, int lanes) { store_first(y + f, lanes, gelu_tanh(load_first(x + f, lanes))); });
  }
}

// y = x·s(2u); dx = dy·s·(1 + x·(1 - s)·(2u)'), 2u = x·(a + b·x²).
void gelu_tanh_grad(const GeluArgs& args, int64_t row_begin, int64_t row_end) {
  const Vec one = splat(1.0f), a = splat(1.59576912f), b = splat(0.0713548163f), b3 = splat(0.214064449f);
  for (int64_t r = row_begin; r < row_end; ++r) {
    float *x = args.x + r * args.x_stride, *y = args.y + r * args.y_stride;
    for_vectors(args.F, [&](int f, int lanes) {
      const Vec v = load_first(x + f, lanes), dy = load_first(y + f, lanes), square = v * v;
      const Vec s = sigmoid(v * fma(square, b, a)), inner = v * fma(square, b3, a);
      store_first(y + f, lanes, v * s);
      store_first(x + f, lanes, dy * s * fma(one - s, inner, one));
    });
  }
}

void scaled_add(const ScaledArgs& args, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    const int64_t row = r * args.stride;
    for_vectors(args.C, [&](int c, int lanes) {
      const Vec z = load_first(args.z + row + c, lanes), x = load_first(args.x + row + c, lanes);
      store_first(args.y + row + c, lanes, fma(load_first(args.scale_C + c, lanes), z, x));
    });
  }
}

void scaled_grad(const ScaledArgs& args, int64_t block_begin, int64_t block_end) {
  for (int64_t b = block_begin; b < block_end; ++b) {
    float* sum = args.partial + b * args.C;
    __builtin_memset(sum, 0, sizeof(float) * args.C);
    for (int64_t r = b * kPartialRows; r < smaller(args.rows, (b + 1) * kPartialRows); ++r) {
      const int64_t row = r * args.stride;
      for_vectors(args.C, [&](int c, int lanes) {
        const Vec dy = load_first(args.x + row + c, lanes);
        store_first(sum + c, lanes, fma(dy, load_first(args.z + row + c, lanes), load_first(sum + c, lanes)));
        store_first(args.y + row + c, lanes, dy * load_first(args.scale_C + c, lanes));
      });
    }
  }
}

struct RowStatistics {
  float mean, inverse;  // x̂ = (x - mean)·inverse
};

inline RowStatistics statistics(const float* x, int C, float eps, bool centred) {
  Vec sum{};
  if (centred) for_vectors(C, [&](int c, int lanes) { sum = sum + load_first(x + c, lanes); });
  const float mean = centred ? sum_of_lanes(sum) / float(C) : 0.0f;
  const Vec mean_v = splat(mean);
  Vec squares{};
  for_vectors(C, [&](int c, int lanes) {
    Vec d = load_first(x + c, lanes) - mean_v;
    if (lanes < kLanes) {
      float kept[kLanes] = {};
      store_first(kept, lanes, d);
      d = load(kept);
    }
    squares = fma(d, d, squares);
  });
  return {mean, 1.0f / __builtin_sqrtf(sum_of_lanes(squares) / float(C) + eps)};
}

// dx = inverse·(g - mean(g) - x̂·mean(g∘x̂)) with g = weight∘dy; without the mean(g) in an RMS norm.
void norm_grad_row(const NormGradArgs& args, int64_t r, float* d_weight, float* d_bias) {
  const float *x = args.x + r * args.x_stride, *dy = args.dy + r * args.dy_stride;
  const RowStatistics s = statistics(x, args.C, args.eps, d_bias != nullptr);
  const Vec mean = splat(s.mean), inverse = splat(s.inverse);
  Vec sum_g{}, sum_gx{};
  for_vectors(args.C, [&](int c, int lanes) {
    const Vec x_hat = (load_first(x + c, lanes) - mean) * inverse, d = load_first(dy + c, lanes);
    const Vec g = load_first(args.weight_C + c, lanes) * d;  // zero in lanes that do not exist
    sum_g = sum_g + g;
    sum_gx = fma(g, x_hat, sum_gx);
    store_first(d_weight + c, lanes, fma(d, x_hat, load_first(d_weight + c, lanes)));
    if (d_bias) store_first(d_bias + c, lanes, d + load_first(d_bias + c, lanes));
  });
  const Vec mean_g = splat(d_bias ? sum_of_lanes(sum_g) / float(args.C) : 0.0f);
  const Vec mean_gx = splat(sum_of_lanes(sum_gx) / float(args.C));
  float* dx = args.dx + r * args.dx_stride;
  for_vectors(args.C, [&](int c, int lanes) {
    const Vec x_hat = (load_first(x + c, lanes) - mean) * inverse;
    const Vec g = load_first(args.weight_C + c, lanes) * load_first(dy + c, lanes);
    store_first(dx + c, lanes, fma(g - mean_g - x_hat * mean_gx, inverse, load_first(dx + c, lanes)));
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
    for_vectors(smaller(kStripColumns, args.C - first), [&](int c, int lanes) {
      Vec sum{};
      for (int64_t r = 0; r < args.rows; ++r)
        sum = sum + load_first(args.x + r * args.stride + first + c, lanes);
      store_first(args.sum + first + c, lanes, load_first(args.sum + first + c, lanes) + sum);
    });
  }
}

}  // namespace

extern const RowwiseKernel rowwise;
const RowwiseKernel rowwise = {rotate,         swiglu,     swiglu_grad, gelu,      gelu_grad, gelu_tanh,
                               gelu_tanh_grad, scaled_add, scaled_grad, norm_grad, column_sum};

}  // namespace mmprm::MMPRM_ISA
