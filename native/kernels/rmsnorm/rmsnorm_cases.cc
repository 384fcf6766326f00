// Cases of rmsnorm: odd widths, rows by index, in place, both output types, padding untouched.
#include <cmath>
#include <cstring>
#include <random>

#include "base/float_types.h"
#include "kernels/kernel_case.h"

namespace mmprm {
namespace {

constexpr int kRows = 5;
constexpr float kGuard = 12345.0f;

void check(int C, DType dtype, bool gather, const KernelTable& kernels) {
  const int64_t stride = C + 3;
  std::mt19937 random(C);
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> x(kRows * stride), weight(C);
  for (float& v : x) v = normal(random);
  for (float& v : weight) v = normal(random);
  const int32_t rows[kRows] = {4, 0, 0, 3, 1};
  const auto run = [&](const KernelTable& k, int64_t first, int64_t last, std::vector<float>& y) {
    std::vector<uint16_t> narrow(y.size(), f32_to_bf16(kGuard));
    RmsnormArgs args{x.data(), stride, gather ? rows : nullptr, weight.data(), y.data(), dtype, stride, kRows,
                     C,        1e-5f};
    if (dtype == DType::kBF16) args.y = narrow.data();
    k.rmsnorm.run(args, first, last);
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
  const float limit = dtype == DType::kBF16 ? 0x1p-8f : 3e-6f;
  for (int64_t i = 0; i < kRows * stride; ++i) {
    if (i % stride >= C) {
      require(actual[i] == kGuard, "padding was written at " + std::to_string(i));
    } else {
      require(std::abs(actual[i] - expected[i]) <= limit * std::abs(expected[i]) + 1e-30f,
              "element " + std::to_string(i));
    }
  }
}

void check_in_place(const KernelTable& kernels) {
  constexpr int C = 77;
  std::vector<float> x(C), weight(C, 1.5f), y(C);
  for (int c = 0; c < C; ++c) x[c] = std::sin(float(c));
  kernels.rmsnorm.run({x.data(), C, nullptr, weight.data(), y.data(), DType::kF32, C, 1, C, 1e-6f}, 0, 1);
  kernels.rmsnorm.run({x.data(), C, nullptr, weight.data(), x.data(), DType::kF32, C, 1, C, 1e-6f}, 0, 1);
  require(x == y, "in place differs");
}

}  // namespace

std::vector<KernelCase> rmsnorm_cases() {
  std::vector<KernelCase> cases{{"rmsnorm in place", check_in_place, {}}};
  for (int C : {1, 7, 16, 31, 33, 96, 896, 4099}) {
    for (DType dtype : {DType::kF32, DType::kBF16}) {
      for (bool gather : {false, true}) {
        const std::string name = "rmsnorm C=" + std::to_string(C) +
                                 (dtype == DType::kBF16 ? " bf16" : " f32") + (gather ? " by index" : "");
        cases.push_back({name, [=](const KernelTable& k) { check(C, dtype, gather, k); }, {}});
      }
    }
  }
  return cases;
}

}  // namespace mmprm
