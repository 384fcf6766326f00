// Cases of rowwise: every function on widths around the vectors' own, against the
// reference, padding untouched.
#include <cmath>
#include <functional>
#include <random>

#include "kernels/kernel_case.h"

namespace mmprm {
namespace {

constexpr int kRows = 67;  // more than one partial block
constexpr float kGuard = 777.0f;

// Two matrices, two vectors and partial sums that a function may read and write.
struct Data {
  int C;
  int64_t stride;
  std::vector<float> x, y, dx, weight, cos_sin, partial, partial2;
  std::vector<int32_t> positions;

  explicit Data(int width) : C(width), stride(2 * width + 5) {
    std::mt19937 random(width);
    std::normal_distribution<float> normal;
    x.resize(kRows * stride);
    y.resize(kRows * stride);
    dx.resize(kRows * stride);
    weight.resize(width);
    cos_sin.resize(size_t(kRows) * width);
    for (auto* values : {&x, &y, &dx, &weight, &cos_sin}) {
      for (float& v : *values) v = normal(random);
    }
    partial.assign(partial_blocks(kRows) * width, kGuard);
    partial2 = partial;
    for (int r = 0; r < kRows; ++r) {
      positions.push_back(kRows - 1 - r);
      for (int64_t c = 2 * width; c < stride; ++c) x[r * stride + c] = y[r * stride + c] = kGuard;
    }
  }
};

using Function = std::function<void(const RowwiseKernel& kernel, Data& data)>;

void rotate(const RowwiseKernel& k, Data& d) {
  const int D = d.C / 2 * 2;
  k.rotate({d.x.data(), d.stride, d.cos_sin.data(), D, d.positions.data(), 1, D, -1}, 0, kRows);
}
void swiglu(const RowwiseKernel& k, Data& d) {
  k.swiglu({d.x.data(), d.stride, d.y.data(), d.stride, d.C}, 0, kRows);
}
void swiglu_grad(const RowwiseKernel& k, Data& d) {
  k.swiglu_grad({d.x.data(), d.stride, d.y.data(), d.stride, d.C}, 0, kRows);
}
void gelu(const RowwiseKernel& k, Data& d) {
  k.gelu({d.x.data(), d.stride, d.y.data(), d.stride, d.C}, 0, kRows);
}
void gelu_grad(const RowwiseKernel& k, Data& d) {
  k.gelu_grad({d.x.data(), d.stride, d.y.data(), d.stride, d.C}, 0, kRows);
}
void gelu_tanh(const RowwiseKernel& k, Data& d) {
  k.gelu_tanh({d.x.data(), d.stride, d.y.data(), d.stride, d.C}, 0, kRows);
}
void gelu_tanh_grad(const RowwiseKernel& k, Data& d) {
  k.gelu_tanh_grad({d.x.data(), d.stride, d.y.data(), d.stride, d.C}, 0, kRows);
}
ScaledArgs scaled_args(Data& d) {
  return {d.x.data(), d.dx.data(), d.weight.data(), d.y.data(), d.stride, d.partial.data(), kRows, d.C};
}
void scaled_add(const RowwiseKernel& k, Data& d) { k.scaled_add(scaled_args(d), 0, kRows); }
void scaled_grad(const RowwiseKernel& k, Data& d) { k.scaled_grad(scaled_args(d), 0, partial_blocks(kRows)); }
template <bool kCentred>
void norm_grad(const RowwiseKernel& k, Data& d) {
  k.norm_grad({d.x.data(), d.stride, d.weight.data(), d.dx.data(), d.stride, d.y.data(), d.stride,
               d.partial.data(), kCentred ? d.partial2.data() : nullptr, kRows, d.C, 1e-5f},
              0, partial_blocks(kRows));
}
void column_sum(const RowwiseKernel& k, Data& d) {
  k.column_sum({d.x.data(), d.stride, d.weight.data(), kRows, d.C}, 0,
               (d.C + kStripColumns - 1) / kStripColumns);
}

void compare(const std::vector<float>& actual, const std::vector<float>& expected, const char* what) {
  double largest = 1;
  for (float v : expected) largest = std::max(largest, v == kGuard ? 0.0 : std::abs(double(v)));
  for (size_t i = 0; i < actual.size(); ++i) {
    const double limit = expected[i] == kGuard ? 0 : 4e-6 * largest;
    require(std::abs(double(actual[i]) - expected[i]) <= limit, std::string(what) + " " + std::to_string(i));
  }
}

void check(const Function& function, int width, const KernelTable& kernels) {
  Data actual(width), expected(width);
  function(kernels.rowwise, actual);
  function(kernel_table(Isa::kReference).rowwise, expected);
  compare(actual.x, expected.x, "x");
  compare(actual.y, expected.y, "y");
  compare(actual.weight, expected.weight, "sums");
  compare(actual.partial, expected.partial, "partial sums");
  compare(actual.partial2, expected.partial2, "partial sums of the bias");
}

}  // namespace

std::vector<KernelCase> rowwise_cases() {
  const std::pair<const char*, Function> functions[] = {{"rotate", rotate},
                                                        {"swiglu", swiglu},
                                                        {"swiglu_grad", swiglu_grad},
                                                        {"gelu", gelu},
                                                        {"gelu_grad", gelu_grad},
                                                        {"gelu_tanh", gelu_tanh},
                                                        {"gelu_tanh_grad", gelu_tanh_grad},
                                                        {"scaled_add", scaled_add},
                                                        {"scaled_grad", scaled_grad},
                                                        {"rms grad", norm_grad<false>},
                                                        {"layernorm grad", norm_grad<true>},
                                                        {"column_sum", column_sum}};
  std::vector<KernelCase> cases;
  for (const auto& [name, function] : functions) {
    for (int width : {2, 7, 16, 33, 130}) {
      cases.push_back({std::string("rowwise ") + name + " C=" + std::to_string(width),
                       [function = function, width](const KernelTable& k) { check(function, width, k); },
                       {}});
    }
  }
  return cases;
}

}  // namespace mmprm
