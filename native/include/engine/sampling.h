// How a token is chosen from logits. Defaults leave the model's own distribution unchanged.
#pragma once
#include <cstdint>
#include <vector>

namespace mmprm {

// kVllm: penalties, temperature, min-p, then top-k and top-p.  kHf: repetition, temperature, top-k, top-p,
// min-p.
enum class SamplingOrder : uint8_t { kVllm, kHf };

// Tokens the repetition penalty sees. Frequency and presence always see the generated ones only.
enum class PenaltyScope : uint8_t { kAll, kGenerated };

struct SamplingParams {
  float temperature = 1;  // 0: greedy
  int top_k = 0;          // 0: off
  float top_p = 1;        // 1: off
  float min_p = 0;        // 0: off
  float repetition_penalty = 1;
  float frequency_penalty = 0;
  float presence_penalty = 0;
  PenaltyScope penalty_scope = PenaltyScope::kAll;
  SamplingOrder order = SamplingOrder::kVllm;
};

// Throws kInvalidArgument naming the parameter.
void check_sampling(const SamplingParams& params);

// The distribution a token is drawn from: the tokens that are left, in rising order.
struct TokenDistribution {
  std::vector<int32_t> tokens;
  std::vector<float> probabilities;
};

// The three below are the sampler as plain functions, for tests and inspection.
TokenDistribution shape_distribution(std::vector<float> logits, const std::vector<int32_t>& prompt,
                                     const std::vector<int32_t>& generated, const SamplingParams& params);

// Draw i is the token that sample 0 of a request with this seed takes at position i.
std::vector<int32_t> draw_tokens(const TokenDistribution& distribution, uint64_t seed, int count);

// One block of Philox4x32-10: four words from a counter of four and a key of two.
std::vector<uint32_t> random_words(const std::vector<uint32_t>& counter, const std::vector<uint32_t>& key);

}  // namespace mmprm
