// layernorm, cases. With u = 2^-24: both sums run in at least kLanes chains, off by at most (C/8 + 4)·u of
// the sum of magnitudes. An error of the mean moves every x - mean; one of the variance scales y - bias.
#include "kernels/norm_case.h"

namespace mmprm {
namespace {

using namespace norm_case;

constexpr float kEps = 1e-6f;

void run(const KernelTable& kernels, const Problem& p, int64_t row_begin, int64_t row_end) {
  LayernormArgs args;
  args.x = p.input();
  args.x_stride = p.x_stride;
  args.weight_C = p.weight.as<float>();
  args.bias_C = p.bias.as<float>();
  args.y = p.y.data();
  args.y_dtype = p.shape.y_dtype;
  args.y_stride = p.y_stride;
  args.rows = p.shape.rows;
  args.C = p.shape.C;
  args.eps = kEps;
  kernels.layernorm.run(args, row_begin, row_end);
}

std::vector<Expected> expect(const float* x, const Problem& p) {
  const int C = p.shape.C;
  double sum = 0, magnitudes = 0, squares = 0;
  for (int c = 0; c < C; ++c) {
    sum += x[c];
    magnitudes += std::fabs(x[c]);
  }
  const double mean = sum / C, u = kRounding;
  for (int c = 0; c < C; ++c) squares += (x[c] - mean) * (x[c] - mean);
  const double variance = squares / C, scale = 1 / std::sqrt(variance + kEps);
  const double sum_error = (C / 8.0 + 4) * u;
  const double mean_error = sum_error * magnitudes / C + u * std::fabs(mean);
  // Σ(x - mean') = C·(mean - mean'), so an error of the mean enters the variance as a square, and by the
  // rounding of every difference.
  const double variance_error =
      (sum_error + 4 * u) * variance + mean_error * mean_error + 2 * u * mean_error * std::sqrt(variance);
  const double scale_error = variance_error / (variance + kEps) / 2 + 4 * u;  // relative
  std::vector<Expected> row;
  for (int c = 0; c < C; ++c) {
    const double w = p.weight.as<float>()[c], b = p.bias.as<float>()[c];
    const double unit = (x[c] - mean) * scale, value = unit * w + b;
    const double error = std::fabs(w) * (scale * mean_error + std::fabs(unit) * (scale_error + 3 * u)) +
                         2 * u * (std::fabs(value) + u);
    row.push_back({value, error});
  }
  return row;
}

}  // namespace

std::vector<KernelCase> layernorm_cases() {
  const Norm norm{"layernorm", run, expect};
  std::vector<KernelCase> cases;
  for (int C : {1, 2, 5, 15, 16, 17, 47, 63, 64, 65, 129, 1024, 4099}) {
    for (DType dtype : {DType::kF32, DType::kBF16}) {
      cases.push_back(make_case(norm, {.rows = 4, .C = C, .y_dtype = dtype}));
      cases.push_back(make_case(norm, {.rows = 3, .C = C, .y_dtype = dtype, .offset = 30}));
    }
    cases.push_back(make_case(norm, {.rows = 3, .C = C, .y_dtype = DType::kF32, .in_place = true}));
  }
  for (int rows : {512, 1025}) cases.push_back(make_case(norm, {rows, 1024, DType::kBF16}, Timed::kYes));
  return cases;
}

}  // namespace mmprm
