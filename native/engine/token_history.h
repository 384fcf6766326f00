// What penalties need to know of one sequence: which tokens occurred, and how often they were generated.
#pragma once
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "include/engine/sampling.h"

namespace mmprm {

class TokenHistory {
 public:
  TokenHistory() = default;
  TokenHistory(const std::vector<int32_t>& prompt, PenaltyScope scope);

  void add_generated(int32_t token);

  struct Count {
    int32_t token;
    int32_t times;
  };
  const std::vector<int32_t>& repeated() const { return repeated_; }  // distinct tokens in the scope
  const std::vector<Count>& generated() const { return generated_; }  // distinct generated tokens

 private:
  std::vector<int32_t> repeated_;
  std::vector<int32_t> sorted_prompt_;  // distinct; empty where the prompt is out of scope
  std::vector<Count> generated_;
  std::unordered_map<int32_t, int32_t> index_;  // token -> place in generated_
};

}  // namespace mmprm
