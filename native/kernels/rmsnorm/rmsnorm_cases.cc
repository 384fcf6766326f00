// rmsnorm, cases. With u = 2^-24: squares add up in at least kLanes chains, so their sum is off by at most
// (C/8 + 4)·u relative, the root by half of that; root, quotient and products add 6 u.
#include "kernels/norm_case.h"

namespace mmprm {
namespace {

using namespace norm_case;

constexpr float kEps = 1e-5f;

void run(const KernelTable& kernels, const Problem& p, int64_t row_begin, int64_t row_end) {
  RmsnormArgs args;
  args.x = p.input();
  args.x_stride = p.x_stride;
  args.x_rows = p.shape.by_index ? p.x_rows.data() : nullptr;
  args.weight_C = p.weight.as<float>();
  args.y = p.y.data();
  args.y_dtype = p.shape.y_dtype;
  args.y_stride = p.y_stride;
  args.rows = p.shape.rows;
  args.C = p.shape.C;
  args.eps = kEps;
  kernels.rmsnorm.run(args, row_begin, row_end);
}

std::vector<Expected> expect(const float* x, const Problem& p) {
  const int C = p.shape.C;
  double squares = 0;
  for (int c = 0; c < C; ++c) squares += double(x[c]) * x[c];
  const double scale = 1 / std::sqrt(squares / C + kEps);
  const double relative = ((C / 8.0 + 4) / 2 + 6) * kRounding;
  std::vector<Expected> row;
  for (int c = 0; c < C; ++c) {
    const double value = x[c] * scale * p.weight.as<float>()[c];
    row.push_back({value, relative * std::fabs(value)});
  }
  return row;
}

}  // namespace

std::vector<KernelCase> rmsnorm_cases() {
  const Norm norm{"rmsnorm", run, expect};
  std::vector<KernelCase> cases;
  for (int C : {1, 7, 16, 31, 33, 63, 64, 65, 96, 129, 896, 4099}) {
    for (DType dtype : {DType::kF32, DType::kBF16}) {
      cases.push_back(make_case(norm, {.rows = 5, .C = C, .y_dtype = dtype}));
      cases.push_back(make_case(norm, {.rows = 6, .C = C, .y_dtype = dtype, .by_index = true}));
    }
    cases.push_back(make_case(norm, {.rows = 3, .C = C, .y_dtype = DType::kF32, .in_place = true}));
  }
  for (int rows : {16, 512}) {
    for (int C : {896, 4096}) cases.push_back(make_case(norm, {rows, C, DType::kBF16}, Timed::kYes));
  }
  return cases;
}

}  // namespace mmprm
