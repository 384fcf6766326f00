// The sampler as plain functions of include/engine/sampling.h.
#include <string>

#include "base/fixed_point.h"
#include "base/philox.h"
#include "device/token_history.h"
#include "include/engine/error.h"
#include "kernels/sample/sampler.h"

namespace mmprm {

TokenDistribution shape_distribution(std::vector<float> logits, const std::vector<int32_t>& prompt,
                                     const std::vector<int32_t>& generated, const SamplingParams& params) {
  check_sampling(params);
  if (logits.size() > size_t(kMaxFixedTerms))
    throw Error(ErrorCode::kInvalidArgument, "more than " + std::to_string(kMaxFixedTerms) + " logits");
  const int V = static_cast<int>(logits.size());
  for (const std::vector<int32_t>* list : {&prompt, &generated}) {
    for (int32_t token : *list) {
      if (token >= 0 && token < V) continue;
      throw Error(ErrorCode::kInvalidArgument,
                  "token " + std::to_string(token) + " has no logit among " + std::to_string(V));
    }
  }
  TokenHistory history(prompt, params.penalty_scope);
  for (int32_t token : generated) history.add_generated(token);
  Sampler sampler;
  sampler.shape(logits.data(), V, history.seen(), params);
  const double total = from_fixed(sampler.total_weight());
  TokenDistribution out{sampler.tokens(), {}};
  for (float weight : sampler.weights()) out.probabilities.push_back(float(weight / total));
  return out;
}

std::vector<int32_t> draw_tokens(const TokenDistribution& distribution, uint64_t seed, int count) {
  std::vector<int32_t> draws;
  for (int i = 0; i < count; ++i) {
    draws.push_back(
        draw_token(distribution.tokens, distribution.probabilities, sampling_uniform(seed, 0, i)));
  }
  return draws;
}

}  // namespace mmprm
