// rowwise, reference: the formulas as they stand, in double.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "kernels/rowwise/rowwise.h"

namespace mmprm::reference {
namespace {

void rotate(const RotateArgs& args, int64_t row_begin, int64_t row_end) {
  const int D = args.head_dim_D, half = D / 2;
  for (int64_t r = row_begin; r < row_end; ++r) {
    const float* cos = args.cos_sin + args.positions_T[r] * args.cos_sin_stride;
    const float* sin = cos + half;
    for (int h = 0; h < args.num_heads; ++h) {
      float* x = args.qkv + r * args.stride + h * D;
      for (int i = 0; i < half; ++i) {
        const double low = x[i], high = x[i + half], s = double(args.sign) * sin[i];
        x[i] = float(low * cos[i] - high * s);
        x[i + half] = float(high * cos[i] + low * s);
      }
    }
  }
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

void swiglu(const SwigluArgs& args, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    const float* gate = args.gate_up + r * args.gate_up_stride;
    for (int f = 0; f < args.F; ++f) {
      args.y[r * args.y_stride + f] = float(gate[f] * sigmoid(gate[f]) * gate[args.F + f]);
    }
  }
}

void swiglu_grad(const SwigluArgs& args, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    float *gate = args.gate_up + r * args.gate_up_stride, *up = gate + args.F,
          *y = args.y + r * args.y_stride;
    for (int f = 0; f < args.F; ++f) {
      const double g = gate[f], u = up[f], dy = y[f], s = sigmoid(g);
      y[f] = float(g * s * u);
      gate[f] = float(dy * u * s * (1 + g * (1 - s)));
      up[f] = float(dy * g * s);
    }
  }
}

double normal_cdf(double x) { return 0.5 * (1 + std::erf(x / std::numbers::sqrt2)); }

void gelu(const GeluArgs& args, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    for (int f = 0; f < args.F; ++f) {
      const double x = args.x[r * args.x_stride + f];
      args.y[r * args.y_stride + f] = float(x * normal_cdf(x));
    }
  }
}

void gelu_grad(const GeluArgs& args, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    for (int f = 0; f < args.F; ++f) {
      float &x = args.x[r * args.x_stride + f], &y = args.y[r * args.y_stride + f];
      const double v = x, dy = y, cdf = normal_cdf(v);
      const double density = std::exp(-0.5 * v * v) / std::sqrt(2 * std::numbers::pi);
      y = float(v * cdf);
      x = float(dy * (cdf + v * density));
    }
  }
}

// x·s(2u), the logistic s for (1 + tanh(u)) / 2, u = √(2/π)·(x + 0.044715·x³).
constexpr double kTanhCube = 0.044715;

double twice_u(double x) { return 2 * std::sqrt(2 / std::numbers::pi) * (x + kTanhCube * x * x * x); }

void gelu_tanh(const GeluArgs& args, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    for (int f = 0; f < args.F; ++f) {
      const double x = args.x[r * args.x_stride + f];
      args.y[r * args.y_stride + f] = float(x * sigmoid(twice_u(x)));
    }
  }
}

void gelu_tanh_grad(const GeluArgs& args, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    for (int f = 0; f < args.F; ++f) {
      float &x = args.x[r * args.x_stride + f], &y = args.y[r * args.y_stride + f];
      const double v = x, dy = y, s = sigmoid(twice_u(v));
      const double slope = 2 * std::sqrt(2 / std::numbers::pi) * (1 + 3 * kTanhCube * v * v);
      y = float(v * s);
      x = float(dy * s * (1 + v * (1 - s) * slope));
    }
  }
}

void scaled_add(const ScaledArgs& args, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    for (int c = 0; c < args.C; ++c) {
      const int64_t at = r * args.stride + c;
      args.y[at] = float(args.x[at] + double(args.scale_C[c]) * args.z[at]);
    }
  }
}

template <typename Row>
void for_each_row_of_block(int64_t block, int rows, Row row) {
  const int64_t end = std::min<int64_t>(rows, (block + 1) * kPartialRows);
  for (int64_t r = block * kPartialRows; r < end; ++r) row(r);
}

void scaled_grad(const ScaledArgs& args, int64_t block_begin, int64_t block_end) {
  for (int64_t b = block_begin; b < block_end; ++b) {
    std::vector<double> sum(args.C);
    for_each_row_of_block(b, args.rows, [&](int64_t r) {
      for (int c = 0; c < args.C; ++c) {
        const int64_t at = r * args.stride + c;
        sum[c] += double(args.x[at]) * args.z[at];
        args.y[at] = float(double(args.x[at]) * args.scale_C[c]);
      }
    });
    for (int c = 0; c < args.C; ++c) args.partial[b * args.C + c] = float(sum[c]);
  }
}

struct RowStatistics {
  double mean = 0, inverse = 0;  // x̂ = (x - mean)·inverse
};

RowStatistics statistics(const float* x, int C, double eps, bool centred) {
  RowStatistics s;
  if (centred) {
    for (int c = 0; c < C; ++c) s.mean += x[c];
    s.mean /= C;
  }
  double squares = 0;
  for (int c = 0; c < C; ++c) squares += (x[c] - s.mean) * (x[c] - s.mean);
  s.inverse = 1 / std::sqrt(squares / C + eps);
  return s;
}

// dx = inverse·(g - mean(g) - x̂·mean(g∘x̂)) with g = weight∘dy; without the mean(g) in an RMS norm.
void norm_grad(const NormGradArgs& args, int64_t block_begin, int64_t block_end) {
  const bool centred = args.bias_partial != nullptr;
  for (int64_t b = block_begin; b < block_end; ++b) {
    std::vector<double> d_weight(args.C), d_bias(args.C);
    for_each_row_of_block(b, args.rows, [&](int64_t r) {
      const float *x = args.x + r * args.x_stride, *dy = args.dy + r * args.dy_stride;
      const RowStatistics s = statistics(x, args.C, args.eps, centred);
      double mean_g = 0, mean_gx = 0;
      for (int c = 0; c < args.C; ++c) {
        const double x_hat = (x[c] - s.mean) * s.inverse, g = double(args.weight_C[c]) * dy[c];
        mean_g += g / args.C;
        mean_gx += g * x_hat / args.C;
        d_weight[c] += dy[c] * x_hat;
        d_bias[c] += dy[c];
      }
      if (!centred) mean_g = 0;
      for (int c = 0; c < args.C; ++c) {
        const double x_hat = (x[c] - s.mean) * s.inverse, g = double(args.weight_C[c]) * dy[c];
        args.dx[r * args.dx_stride + c] += float(s.inverse * (g - mean_g - x_hat * mean_gx));
      }
    });
    for (int c = 0; c < args.C; ++c) {
      args.weight_partial[b * args.C + c] = float(d_weight[c]);
      if (centred) args.bias_partial[b * args.C + c] = float(d_bias[c]);
    }
  }
}

void column_sum(const ColumnSumArgs& args, int64_t strip_begin, int64_t strip_end) {
  const int64_t end = std::min<int64_t>(args.C, strip_end * kStripColumns);
  for (int64_t c = strip_begin * kStripColumns; c < end; ++c) {
    double sum = 0;
    for (int r = 0; r < args.rows; ++r) sum += args.x[r * args.stride + c];
    args.sum[c] += float(sum);
  }
}

}  // namespace

extern const RowwiseKernel rowwise;
const RowwiseKernel rowwise = {rotate,         swiglu,     swiglu_grad, gelu,      gelu_grad, gelu_tanh,
                               gelu_tanh_grad, scaled_add, scaled_grad, norm_grad, column_sum};

}  // namespace mmprm::reference
