// What penalties need to know of one sequence: which tokens occurred, and how often they were generated.
#pragma once
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "device/sample.h"

namespace mmprm {

class TokenHistory {
 public:
  TokenHistory() = default;
  TokenHistory(const std::vector<int32_t>& prompt, PenaltyScope scope);

  void add_generated(int32_t token);

  SeenTokens seen() const { return {repeated_, generated_}; }

 private:
  std::vector<int32_t> repeated_;
  std::vector<int32_t> sorted_prompt_;  // distinct; empty where the prompt is out of scope
  std::vector<TokenCount> generated_;
  std::unordered_map<int32_t, int32_t> index_;  // token -> place in generated_
};

}  // namespace mmprm
