// The sampler against a plain sort-everything model, and its draws against their distribution.
#include "kernels/sample/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "base/fixed_point.h"
#include "base/philox.h"
#include "harness.h"

namespace mmprm {
namespace {

struct Plain {
  int32_t token;
  double logit;
  double probability;
};

void normalise(std::vector<Plain>& kept) {
  double total = 0;
  for (Plain& p : kept) total += p.probability;
  for (Plain& p : kept) p.probability /= total;
}

void plain_min_p(std::vector<Plain>& kept, double min_p) {
  if (min_p <= 0) return;
  double largest = 0;
  for (const Plain& p : kept) largest = std::max(largest, p.probability);
  std::erase_if(kept, [&](const Plain& p) { return p.probability < min_p * largest; });
  normalise(kept);
}

void plain_top_p(std::vector<Plain>& kept, double top_p) {
  if (top_p >= 1) return;
  std::sort(kept.begin(), kept.end(), [](const Plain& a, const Plain& b) {
    return a.probability != b.probability ? a.probability < b.probability : a.token > b.token;
  });
  double cumulated = 0;
  size_t dropped = 0;
  while (dropped + 1 < kept.size() && (cumulated += kept[dropped].probability) <= 1 - top_p) ++dropped;
  kept.erase(kept.begin(), kept.begin() + dropped);
  normalise(kept);
}

// Sorts the whole row; double arithmetic.
std::vector<Plain> plain_distribution(const std::vector<float>& logits, const SamplingParams& params) {
  std::vector<Plain> kept;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isfinite(logits[i])) kept.push_back({int32_t(i), double(logits[i] / params.temperature), 0});
  }
  std::vector<double> sorted;
  for (const Plain& p : kept) sorted.push_back(p.logit);
  std::sort(sorted.rbegin(), sorted.rend());
  if (params.top_k > 0 && size_t(params.top_k) < sorted.size()) {
    std::erase_if(kept, [&](const Plain& p) { return p.logit < sorted[params.top_k - 1]; });
  }
  for (Plain& p : kept) p.probability = std::exp(p.logit - sorted[0]);
  normalise(kept);
  if (params.order == SamplingOrder::kVllm) plain_min_p(kept, params.min_p);
  plain_top_p(kept, params.top_p);
  if (params.order == SamplingOrder::kHf) plain_min_p(kept, params.min_p);
  std::sort(kept.begin(), kept.end(), [](const Plain& a, const Plain& b) { return a.token < b.token; });
  return kept;
}

TEST(sampler_agrees_with_sorting_everything) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0, 3), wide(0, 60);
  for (int round = 0; round < 400; ++round) {
    const int V = 1 + int(random() % 700);
    std::vector<float> logits(V);
    // Few distinct values in some rounds: ties everywhere.
    for (float& l : logits)
      l = round % 4 == 0 ? float(int(random() % 5)) : round % 7 == 0 ? wide(random) : normal(random);
    if (round % 3 == 0) {
      for (int i = 1; i < V; i += 2) logits[i] = -std::numeric_limits<float>::infinity();
    }
    SamplingParams params;
    params.temperature = round % 2 ? 1.0f : 0.7f;
    params.top_k = int(random() % 60);
    params.top_p = round % 5 == 0 ? 1.0f : float(random() % 1000 + 1) / 1001.0f;
    params.min_p = round % 3 == 0 ? 0.0f : 0.037f;
    params.order = round % 2 ? SamplingOrder::kHf : SamplingOrder::kVllm;
    const std::vector<Plain> expected = plain_distribution(logits, params);
    const TokenDistribution actual = shape_distribution(logits, {}, {}, params);
    CHECK_EQ(actual.tokens.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      CHECK_EQ(actual.tokens[i], expected[i].token);
      CHECK(std::abs(actual.probabilities[i] - expected[i].probability) < 1e-6);
    }
  }
}

TEST(sampler_draws_follow_the_distribution) {
  std::mt19937 random(11);
  std::normal_distribution<float> normal(0, 1.5);
  std::vector<float> logits(40);
  for (float& l : logits) l = normal(random);
  SamplingParams params;
  params.top_k = 30;
  params.top_p = 0.95f;
  Sampler sampler;
  std::vector<float> row = logits;
  sampler.shape(row.data(), int(row.size()), {}, params);
  constexpr int kDraws = 200000;
  std::vector<int> seen(logits.size());
  for (int i = 0; i < kDraws; ++i) ++seen[sampler.draw(sampling_uniform(20260, i % 16, i / 16))];
  double chi_square = 0;
  for (size_t i = 0; i < sampler.tokens().size(); ++i) {
    const double expected = kDraws * sampler.weights()[i] / from_fixed(sampler.total_weight());
    CHECK(expected > 20);
    chi_square += (seen[sampler.tokens()[i]] - expected) * (seen[sampler.tokens()[i]] - expected) / expected;
    seen[sampler.tokens()[i]] = 0;
  }
  for (int left : seen) CHECK_EQ(left, 0);
  // 0.999 quantile by Wilson and Hilferty.
  const double k = double(sampler.tokens().size() - 1), z = 3.09;
  const double limit = k * std::pow(1 - 2 / (9 * k) + z * std::sqrt(2 / (9 * k)), 3);
  CHECK(chi_square < limit);
}

TEST(sampler_draw_reaches_both_ends_and_skips_weightless_tokens) {
  Sampler sampler;
  std::vector<float> row{0, -1000, 0, -1000};
  sampler.shape(row.data(), 4, {}, {});
  CHECK_EQ(sampler.tokens().size(), size_t(4));
  CHECK_EQ(sampler.draw(0), 0);
  CHECK_EQ(sampler.draw(0x1.fffffffffffffp-1), 2);
}

TEST(sampler_refuses_rows_without_numbers) {
  std::vector<float> row(8, std::numeric_limits<float>::quiet_NaN());
  Sampler sampler;
  CHECK_ERROR(sampler.shape(row.data(), 8, {}, {}), ErrorCode::kInternal);
  row.assign(8, -std::numeric_limits<float>::infinity());
  CHECK_ERROR(sampler.shape(row.data(), 8, {}, {}), ErrorCode::kInternal);
}

TEST(sampler_log_probability_is_log_softmax) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 4);
  std::vector<float> logits(1000);
  for (float& l : logits) l = normal(random);
  double sum = 0;
  for (float l : logits) sum += std::exp(double(l));
  for (int token : {0, 17, 999}) {
    CHECK(std::abs(log_probability(logits.data(), 1000, token) - (logits[token] - std::log(sum))) < 2e-6);
  }
}

TEST(fixed_point_sums_are_truncated_weights) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> exponent(-60, 0);
  std::vector<float> weights(1000);
  for (float& w : weights) w = std::exp2(exponent(random));
  weights[3] = 1;
  weights[4] = 0;
  weights[5] = 0x1.fffffep-1f;
  uint64_t sum = 0;
  for (float w : weights) sum += uint64_t(std::floor(std::ldexp(double(w), kFixedBits)));
  CHECK_EQ(sum_fixed(weights.data(), weights.size()), sum);
  std::shuffle(weights.begin(), weights.end(), random);
  CHECK_EQ(sum_fixed(weights.data(), weights.size()), sum);
  sum = 0;
  for (float w : weights) sum += to_fixed(w);
  CHECK_EQ(sum_fixed(weights.data(), weights.size()), sum);
}

TEST(fixed_point_log_is_a_logarithm) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 10000; ++i) {
    const uint64_t sum = (random() | 1) >> (random() % 64);
    const double expected = std::log(std::ldexp(double(sum ? sum : 1), -kFixedBits));
    CHECK(std::abs(log_fixed(sum ? sum : 1) - expected) <= 1e-12 * std::max(1.0, std::abs(expected)));
  }
  CHECK_EQ(log_fixed(uint64_t{1} << kFixedBits), 0.0);
}

TEST(fixed_point_shares_are_exact) {
  const uint64_t total = (uint64_t{1} << 62) - 12345;
  CHECK_EQ(share_of(total, 0), uint64_t{0});
  CHECK_EQ(share_of(total, 1), total);
  CHECK_EQ(share_of(total, 0.5), total / 2);
  CHECK(share_of(total, 0x1.fffffffffffffp-1) < total);
}

TEST(philox_known_answers) {
  CHECK((philox4x32({0, 0, 0, 0}, {0, 0}) == PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  CHECK((philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
         PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

}  // namespace
}  // namespace mmprm
