#include "device/token_history.h"

#include <algorithm>

namespace mmprm {

TokenHistory::TokenHistory(const std::vector<int32_t>& prompt, PenaltyScope scope) {
  if (scope == PenaltyScope::kGenerated) return;
  sorted_prompt_ = prompt;
  std::sort(sorted_prompt_.begin(), sorted_prompt_.end());
  sorted_prompt_.erase(std::unique(sorted_prompt_.begin(), sorted_prompt_.end()), sorted_prompt_.end());
  repeated_ = sorted_prompt_;
}

void TokenHistory::add_generated(int32_t token) {
  const auto [at, fresh] = index_.try_emplace(token, static_cast<int32_t>(generated_.size()));
  if (!fresh) {
    ++generated_[at->second].times;
    return;
  }
  generated_.push_back({token, 1});
  if (!std::binary_search(sorted_prompt_.begin(), sorted_prompt_.end(), token)) repeated_.push_back(token);
}

}  // namespace mmprm
