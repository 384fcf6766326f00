// Cases of cross_entropy: one class to many, large logits, rows without weight, a logit that is no number.
#include <cmath>
#include <random>

#include "kernels/kernel_case.h"

namespace mmprm {
namespace {

constexpr int kRows = 3;

struct Result {
  std::vector<float> logits, lse, largest;
};

Result run(int V, float spread, const KernelTable& kernels, bool with_nan = false) {
  const int64_t stride = V + 3;
  std::mt19937 random(V);
  std::normal_distribution<float> normal(0, spread);
  Result out{std::vector<float>(kRows * stride), std::vector<float>(kRows), std::vector<float>(kRows)};
  for (float& v : out.logits) v = normal(random);
  if (with_nan) out.logits[V / 2] = NAN;
  const float scale[kRows] = {1.0f, 0.0f, 0.25f};
  kernels.cross_entropy.run({out.logits.data(), stride, V, scale, out.lse.data(), out.largest.data()}, 0,
                            kRows);
  return out;
}

void check(int V, float spread, const KernelTable& kernels) {
  const Result actual = run(V, spread, kernels), expected = run(V, spread, kernel_table(Isa::kReference));
  for (int r = 0; r < kRows; ++r) {
    require(std::abs(actual.lse[r] - expected.lse[r]) <= 2e-6f * (1 + std::abs(expected.lse[r])), "lse");
    require(actual.largest[r] == expected.largest[r], "largest logit");
  }
  for (size_t i = 0; i < actual.logits.size(); ++i) {
    require(std::abs(actual.logits[i] - expected.logits[i]) <= 3e-6f * std::abs(expected.logits[i]) + 1e-9f,
            "gradient " + std::to_string(i));
  }
}

}  // namespace

std::vector<KernelCase> cross_entropy_cases() {
  std::vector<KernelCase> cases;
  for (int V : {1, 2, 15, 16, 49, 4097}) {
    for (float spread : {1.0f, 40.0f}) {
      const std::string name = "cross_entropy V=" + std::to_string(V) + (spread > 1 ? " large" : "");
      cases.push_back({name, [=](const KernelTable& k) { check(V, spread, k); }, {}});
    }
  }
  cases.push_back(
      {"cross_entropy with a logit that is no number",
       [](const KernelTable& k) { require(std::isnan(run(40, 1, k, true).lse[0]), "the loss hides it"); },
       {}});
  return cases;
}

}  // namespace mmprm
