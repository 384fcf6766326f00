// norm on CUDA, cases. A row is folded into 256 chains and a tree of sums: off by (C/256 + 14) u relative.
#include "kernels/cuda_plan_case.h"
#include "kernels/norm/norm_cuda.h"

namespace mmprm::cuda {
namespace {

struct Shape {
  int rows, C;
  DType y_dtype;
  bool layer, in_place;
};

uint64_t check(const Shape& s, const Chip&) {
  constexpr double kU = 0x1p-24, kEps = 1e-5f;
  CaseNumbers numbers(s.C * 3 + s.layer);
  DeviceRows x(DType::kF32, s.rows, s.C, s.C + 3), weight(DType::kF32, 1, s.C, s.C),
      bias(DType::kF32, 1, s.C, s.C);
  x.fill_normal(numbers, 3);
  if (s.layer) {
    for (int r = 0; r < s.rows; ++r) {
      for (int c = 0; c < s.C; ++c) x.set(r, c, x.get(r, c) + 50);  // digits that the variance must not lose
    }
    x.block.upload();
  }
  weight.fill_normal(numbers);
  bias.fill_normal(numbers);
  DeviceRows y(s.y_dtype, s.rows, s.C, s.C + 5), alone(s.y_dtype, s.rows, s.C, s.C + 5),
      input(DType::kF32, s.rows, s.C, s.C + 3);
  for (int r = 0; r < s.rows; ++r) {
    for (int c = 0; c < s.C; ++c) input.set(r, c, x.get(r, c));
  }
  NormOp op{tensor_of(y), tensor_of(x), tensor_of(weight), s.layer ? tensor_of(bias) : Tensor{}, float(kEps)};
  for (int r = s.rows; r-- > 0;) {
    op.y = tensor_of(alone, r, 1), op.x = tensor_of(x, r, 1);
    require_ok(norm(op, nullptr), "norm");
  }
  op.y = s.in_place ? tensor_of(x) : tensor_of(y), op.x = tensor_of(x);
  require_ok(norm(op, nullptr), "norm");
  DeviceRows& result = s.in_place ? x : y;
  result.download("norm");
  alone.download("norm");
  for (int r = 0; r < s.rows; ++r) {
    require_same_bits(result, r, alone, r, "alone");
    double mean = 0, squares = 0, size = 0;
    for (int c = 0; c < s.C; ++c)
      mean += s.layer ? double(input.get(r, c)) / s.C : 0, size += std::fabs(input.get(r, c)) / s.C;
    for (int c = 0; c < s.C; ++c) squares += (input.get(r, c) - mean) * (input.get(r, c) - mean);
    const double scale = 1 / std::sqrt(squares / s.C + kEps), steps = (s.C / 256 + 14) * kU;
    for (int c = 0; c < s.C; ++c) {
      const double v = (input.get(r, c) - mean) * scale, w = weight.get(0, c),
                   b = s.layer ? bias.get(0, c) : 0, value = v * w + b;
      const double mean_error = s.layer ? steps * size * scale : 0;
      const double error =
          std::fabs(w) * (std::fabs(v) * steps * 2 + 2 * mean_error) + 2 * kU * std::fabs(value);
      require_close(result.get(r, c), value,
                    error + (s.y_dtype == DType::kBF16 ? 0x1p-8 * (std::fabs(value) + error) : 0),
                    "row " + std::to_string(r) + " column " + std::to_string(c));
    }
  }
  Hash hash;
  hash.add(result);
  return hash.value();
}

}  // namespace

std::vector<KernelCase> norm_cases() {
  std::vector<KernelCase> cases;
  for (int C : {1, 7, 64, 255, 256, 257, 896, 4099}) {
    for (const Shape& s : {Shape{3, C, DType::kBF16, false, false}, Shape{4, C, DType::kF32, true, false},
                           Shape{3, C, DType::kF32, C % 2 == 0, true}}) {
      const std::string name = std::string("norm ") + (s.layer ? "layer" : "rms") +
                               " C=" + std::to_string(C) + (s.y_dtype == DType::kF32 ? " f32" : " bf16") +
                               (s.in_place ? " in place" : "");
      cases.push_back({name, [s](const Chip& chip) { return check(s, chip); }});
    }
  }
  return cases;
}

}  // namespace mmprm::cuda
