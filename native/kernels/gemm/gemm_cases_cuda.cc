// gemm on CUDA, cases. Every configuration gives the same bits; so does a row alone. Against double, with u = 2^-24:
// a product of 16 (Ampere: 8) terms is cut to at most 2u of the largest partial sum, so K terms are off by
// (K/16 + 4) · 2u · ‖x‖‖w‖ (Ampere twice that); a chain of fma by (K + 4) · u; then the epilogue's Lipschitz constant, its
// own 4 u and the rounding of y.
#include <numbers>

#include "kernels/cuda_case.h"
#include "kernels/gemm/gemm_cuda.h"

namespace mmprm::cuda {
namespace {

constexpr double kU = 0x1p-24;

struct Shape {
  int N, K, rows;
  DType dtype = DType::kBF16, y_dtype = DType::kF32;
  Epilogue epilogue = Epilogue::kStore;
  bool bias = false, column_scale = false;
  int spare_cols = 0;  // columns of w that y does not take
  float spread = 1;
};

struct Problem {
  Shape s;
  int y_cols;
  DeviceRows w, x, y;
  DeviceBlock bias, scale;
  std::vector<float> y_before;

  static int64_t stride(const Shape& s, int pad) {
    return s.dtype == DType::kF32 ? s.K + pad : (s.K + 7) / 8 * 8 + 8 * pad;
  }
  static int cols(const Shape& s) { return (s.epilogue == Epilogue::kSwiglu ? s.N / 2 : s.N) - s.spare_cols; }

  explicit Problem(const Shape& s)
      : s(s),
        y_cols(cols(s)),
        w(s.dtype, s.N, s.K, stride(s, 0)),
        x(s.dtype, s.rows, s.K, stride(s, 1)),
        y(s.y_dtype, s.rows, y_cols, y_cols + (s.rows % 2 ? 3 : 4 - y_cols % 4)),
        bias((s.N + 3) / 4 * 16),
        scale((s.N + 3) / 4 * 16) {
    CaseNumbers numbers(uint64_t(s.N) * 131 + s.K * 7 + s.rows);
    w.fill_normal(numbers);
    x.fill_normal(numbers, s.spread);
    for (int n = 0; n < s.N; ++n) {
      bias.host_as<float>()[n] = numbers.normal();
      scale.host_as<float>()[n] = numbers.normal();
    }
    bias.upload();
    scale.upload();
    for (int i = 0; i < s.rows * y_cols; ++i) y_before.push_back(numbers.normal());
  }

  GemmProblem args(int first_row, int rows) const {
    GemmProblem p;
    p.w = w.at();
    p.x = x.at(first_row);
    p.y = y.at(first_row);
    p.w_stride = w.stride, p.x_stride = x.stride, p.y_stride = y.stride;
    p.N = s.N, p.K = s.K, p.rows = rows, p.y_cols = y_cols;
    p.bias_N = s.bias ? bias.device_as<float>() : nullptr;
    p.column_scale_N = s.column_scale ? scale.device_as<float>() : nullptr;
    p.dtype = s.dtype, p.y_dtype = s.y_dtype, p.epilogue = s.epilogue;
    return p;
  }
  void reset_y() {
    y.block.poison();
    if (s.epilogue != Epilogue::kAccumulate) return;
    for (int r = 0; r < s.rows; ++r) {
      for (int c = 0; c < y_cols; ++c) y.set(r, c, y_before[r * y_cols + c]);
    }
    y.block.upload();
  }
};

struct Bounded {
  double value, error;
};

Bounded column(Problem& p, int t, int n, double steps_error) {
  double sum = 0, xx = 0, ww = 0;
  for (int k = 0; k < p.s.K; ++k) {
    const double x = p.x.get(t, k), w = p.w.get(n, k);
    sum += x * w, xx += x * x, ww += w * w;
  }
  double error = steps_error * std::sqrt(xx * ww);
  if (p.s.bias) sum += p.bias.host_as<float>()[n], error += kU * std::fabs(sum);
  if (!p.s.column_scale) return {sum, error};
  const double scale = p.scale.host_as<float>()[n];
  return {sum * scale, std::fabs(scale) * error + kU * std::fabs(sum * scale)};
}

Bounded expected(Problem& p, int t, int j, double steps_error) {
  Bounded y;
  if (p.s.epilogue == Epilogue::kSwiglu) {
    const int n = j / 8 * 16 + j % 8;
    const Bounded gate = column(p, t, n, steps_error), up = column(p, t, n + 8, steps_error);
    const double silu = gate.value / (1 + std::exp(-gate.value));
    const double silu_error = 1.1 * gate.error + 4 * kU * std::fabs(gate.value);
    y = {silu * up.value, silu_error * (std::fabs(up.value) + up.error) + std::fabs(silu) * up.error};
  } else {
    const Bounded v = y = column(p, t, j, steps_error);
    if (p.s.epilogue == Epilogue::kAccumulate) y.value += p.y_before[t * p.y_cols + j];
    if (p.s.epilogue == Epilogue::kRelu) y.value = std::max(v.value, 0.0);
    if (p.s.epilogue == Epilogue::kGeluTanh) {
      y = {0.5 * v.value *
               (1 + std::tanh(std::sqrt(2 / std::numbers::pi) *
                              (v.value + 0.044715 * v.value * v.value * v.value))),
           1.13 * v.error + 6 * kU * std::fabs(v.value)};
    }
    if (p.s.epilogue == Epilogue::kGelu) {
      y = {0.5 * v.value * (1 + std::erf(v.value / std::sqrt(2.0))),
           1.13 * v.error + 4 * kU * std::fabs(v.value)};
    }
  }
  y.error += (p.s.y_dtype == DType::kBF16 ? 0x1p-8 : 2 * kU) * (std::fabs(y.value) + y.error);
  return y;
}

void require_near_double(Problem& p, ChipClass chip) {
  const double K = p.s.K, steps = p.s.dtype == DType::kF32   ? (K + 4) * kU
                                  : chip == ChipClass::kSm80 ? (K / 16 + 4) * 4 * kU
                                                             : (K / 16 + 4) * 2 * kU;
  const int step = p.s.rows * p.y_cols * int64_t(p.s.K) > 4'000'000 ? 7 : 1;  // of the large ones, a part
  for (int i = 0; i < p.s.rows * p.y_cols; i += step) {
    const int t = i / p.y_cols, j = i % p.y_cols;
    const Bounded e = expected(p, t, j, steps);
    require_close(p.y.get(t, j), e.value, e.error,
                  "row " + std::to_string(t) + " column " + std::to_string(j));
  }
}

uint64_t check(const Shape& s, const Chip& chip) {
  Problem together(s), other(s);
  const auto run = [&](Problem& p, const GemmConfig& config, int first_row, int rows) {
    require_ok(gemm(p.args(first_row, rows), config, chip.multiprocessors, nullptr), describe(config));
  };
  const auto config_of = [&](int rows) { return gemm_config(chip.chip_class, s.N, s.K, s.dtype, rows); };
  together.reset_y();
  run(together, config_of(s.rows), 0, s.rows);
  together.y.download(describe(config_of(s.rows)));
  require_near_double(together, chip.chip_class);
  for (const GemmConfig& config : gemm_configs(chip.chip_class, s.dtype)) {
    other.reset_y();
    run(other, config, 0, s.rows);
    other.y.download(describe(config));
    for (int r = 0; r < s.rows; ++r) require_same_bits(other.y, r, together.y, r, "by " + describe(config));
  }
  other.reset_y();
  for (int r = 0; r<s.rows; r += s.rows> 8 ? s.rows / 3 : 1) {
    run(other, config_of(1), r, 1);
    other.y.download("a row alone");
    require_same_bits(other.y, r, together.y, r, "alone");
  }
  Hash hash;
  hash.add(together.y);
  return hash.value();
}

std::string name_of(const Shape& s) {
  constexpr const char* kEpilogues[] = {"store", "accumulate", "gelu", "gelu tanh", "relu", "swiglu"};
  return std::string("gemm ") + (s.dtype == DType::kF32 ? "f32" : "bf16") + " N=" + std::to_string(s.N) +
         " K=" + std::to_string(s.K) + " rows=" + std::to_string(s.rows) + " " + kEpilogues[int(s.epilogue)] +
         (s.y_dtype == DType::kF32 ? " f32" : " bf16") + (s.bias ? " bias" : "") +
         (s.column_scale ? " scale" : "") + (s.spare_cols ? " spare" : "") + (s.spread != 1 ? " spread" : "");
}

}  // namespace

std::vector<KernelCase> gemm_cases() {
  std::vector<Shape> shapes;
  for (DType dtype : {DType::kBF16, DType::kF32}) {
    const DType narrow = dtype;  // of y, where it feeds the next product
    shapes.push_back({.N = 48, .K = 16, .rows = 1, .dtype = dtype});
    shapes.push_back({.N = 200, .K = 72, .rows = 5, .dtype = dtype});
    shapes.push_back(
        {.N = 77, .K = 588, .rows = 9, .dtype = dtype, .epilogue = Epilogue::kAccumulate, .bias = true});
    shapes.push_back(
        {.N = 160, .K = 130, .rows = 33, .dtype = dtype, .y_dtype = narrow, .epilogue = Epilogue::kSwiglu});
    shapes.push_back({.N = 160,
                      .K = 64,
                      .rows = 6,
                      .dtype = dtype,
                      .y_dtype = narrow,
                      .epilogue = Epilogue::kSwiglu,
                      .bias = true,
                      .spare_cols = 3});
    shapes.push_back({.N = 130,
                      .K = 96,
                      .rows = 17,
                      .dtype = dtype,
                      .y_dtype = narrow,
                      .epilogue = Epilogue::kGelu,
                      .bias = true});
    shapes.push_back({.N = 130,
                      .K = 96,
                      .rows = 18,
                      .dtype = dtype,
                      .y_dtype = narrow,
                      .epilogue = Epilogue::kGeluTanh,
                      .bias = true});
    shapes.push_back({.N = 64,
                      .K = 257,
                      .rows = 12,
                      .dtype = dtype,
                      .y_dtype = narrow,
                      .epilogue = Epilogue::kRelu,
                      .bias = true,
                      .spare_cols = 2});
    shapes.push_back({.N = 136,
                      .K = 176,
                      .rows = 70,
                      .dtype = dtype,
                      .epilogue = Epilogue::kAccumulate,
                      .bias = true,
                      .column_scale = true});
    shapes.push_back({.N = 96, .K = 200, .rows = 31, .dtype = dtype, .y_dtype = narrow, .spread = 1000});
  }
  shapes.push_back(
      {.N = 144, .K = 160, .rows = 262});  // more than one tile of every configuration, both ways
  shapes.push_back({.N = 16, .K = 3000, .rows = 3});
  std::vector<KernelCase> cases;
  for (const Shape& s : shapes)
    cases.push_back({name_of(s), [s](const Chip& chip) { return check(s, chip); }});
  return cases;
}

}  // namespace mmprm::cuda
