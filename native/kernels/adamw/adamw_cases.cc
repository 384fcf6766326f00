// Cases of adamw: some steps on sizes around the vectors' own, with and without decay, against the reference.
#include <cmath>
#include <random>

#include "kernels/kernel_case.h"

namespace mmprm {
namespace {

struct State {
  std::vector<float> weight, gradient, m, v;
};

State run(int size, double decay, const KernelTable& kernels) {
  std::mt19937 random(size);
  std::normal_distribution<float> normal;
  State s{std::vector<float>(size), std::vector<float>(size), std::vector<float>(size),
          std::vector<float>(size)};
  for (float& w : s.weight) w = normal(random);
  for (int step = 1; step <= 5; ++step) {
    for (float& g : s.gradient) g = normal(random);
    AdamwArgs args{s.weight.data(),
                   s.gradient.data(),
                   s.m.data(),
                   s.v.data(),
                   size,
                   0.5f,
                   1e-2,
                   decay,
                   0.9,
                   0.999,
                   1e-8};
    args.correction1 = 1 - std::pow(0.9, step);
    args.correction2 = 1 - std::pow(0.999, step);
    kernels.adamw.run(args);
  }
  return s;
}

void check(int size, double decay, const KernelTable& kernels) {
  const State actual = run(size, decay, kernels), expected = run(size, decay, kernel_table(Isa::kReference));
  for (int i = 0; i < size; ++i) {
    require(std::abs(actual.weight[i] - expected.weight[i]) <= 2e-6f, "weight " + std::to_string(i));
    require(std::abs(actual.m[i] - expected.m[i]) <= 1e-6f, "first moment " + std::to_string(i));
    require(std::abs(actual.v[i] - expected.v[i]) <= 1e-6f, "second moment " + std::to_string(i));
  }
  const double sum = kernels.adamw.sum_of_squares(actual.weight.data(), size);
  const double whole = kernel_table(Isa::kReference).adamw.sum_of_squares(actual.weight.data(), size);
  require(std::abs(sum - whole) <= 1e-12 * whole, "sum of squares");
}

}  // namespace

std::vector<KernelCase> adamw_cases() {
  std::vector<KernelCase> cases;
  for (int size : {1, 15, 16, 100, 4096}) {
    for (double decay : {0.0, 0.1}) {
      const std::string name = "adamw size=" + std::to_string(size) + (decay > 0 ? " decay" : "");
      cases.push_back({name, [=](const KernelTable& k) { check(size, decay, k); }, {}});
    }
  }
  return cases;
}

}  // namespace mmprm
