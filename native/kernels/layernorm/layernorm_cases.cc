// Cases of layernorm: odd widths, a large common offset, both output types, padding untouched.
#include <cmath>
#include <cstring>
#include <random>

#include "base/float_types.h"
#include "kernels/kernel_case.h"

namespace mmprm {
namespace {

constexpr int kRows = 4;
constexpr float kGuard = 12345.0f;

void check(int C, float offset, DType dtype, const KernelTable& kernels) {
  const int64_t stride = C + 5;
  std::mt19937 random(C);
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> x(kRows * stride), weight(C), bias(C);
  for (float& v : x) v = normal(random) + offset;
  for (float& v : weight) v = normal(random);
  for (float& v : bias) v = normal(random);
  const auto run = [&](const KernelTable& k, int64_t first, int64_t last, std::vector<float>& y) {
    std::vector<uint16_t> narrow(y.size(), f32_to_bf16(kGuard));
    LayernormArgs args{x.data(), stride, weight.data(), bias.data(), y.data(),
                       dtype,    stride, kRows,         C,           1e-6f};
    if (dtype == DType::kBF16) args.y = narrow.data();
    k.layernorm.run(args, first, last);
    if (dtype == DType::kBF16) {
      for (size_t i = 0; i < y.size(); ++i)
        y[i] = narrow[i] == f32_to_bf16(kGuard) ? y[i] : bf16_to_f32(narrow[i]);
    }
  };
  std::vector<float> actual(kRows * stride, kGuard), expected = actual, apart = actual;
  run(kernels, 0, kRows, actual);
  run(kernel_table(Isa::kReference), 0, kRows, expected);
  for (int64_t r = kRows - 1; r >= 0; --r) run(kernels, r, r + 1, apart);
  require(std::memcmp(actual.data(), apart.data(), actual.size() * 4) == 0,
          "rows one by one have other bits");
  // Subtracting the mean loses the digits that a large offset takes up.
  const float limit = dtype == DType::kBF16 ? 0x1p-7f : 1e-5f * (1 + std::abs(offset));
  for (int64_t i = 0; i < kRows * stride; ++i) {
    if (i % stride >= C) {
      require(actual[i] == kGuard, "padding was written at " + std::to_string(i));
    } else {
      require(std::abs(actual[i] - expected[i]) <= limit * (1 + std::abs(expected[i])),
              "element " + std::to_string(i));
    }
  }
}

}  // namespace

std::vector<KernelCase> layernorm_cases() {
  std::vector<KernelCase> cases;
  for (int C : {1, 5, 16, 47, 64, 128, 1024, 4096}) {
    for (float offset : {0.0f, 30.0f}) {
      for (DType dtype : {DType::kF32, DType::kBF16}) {
        const std::string name = "layernorm C=" + std::to_string(C) +
                                 (dtype == DType::kBF16 ? " bf16" : " f32") + (offset != 0 ? " offset" : "");
        cases.push_back({name, [=](const KernelTable& k) { check(C, offset, dtype, k); }, {}});
      }
    }
  }
  return cases;
}

}  // namespace mmprm
