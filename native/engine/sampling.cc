// What is asked of sampling before any logits exist.
#include "include/engine/sampling.h"

#include <cmath>

#include "base/philox.h"
#include "include/engine/error.h"

namespace mmprm {

void check_sampling(const SamplingParams& p) {
  const auto reject = [](const char* what) { throw Error(ErrorCode::kInvalidArgument, what); };
  if (!(p.temperature >= 0) || !std::isfinite(p.temperature)) reject("temperature must be a number >= 0");
  if (p.top_k < 0) reject("topK must be >= 0 (0: off)");
  if (!(p.top_p > 0 && p.top_p <= 1)) reject("topP must lie in (0, 1]");
  if (!(p.min_p >= 0 && p.min_p <= 1)) reject("minP must lie in [0, 1]");
  if (!(p.repetition_penalty > 0) || !std::isfinite(p.repetition_penalty))
    reject("repetitionPenalty must be > 0");
  if (!std::isfinite(p.frequency_penalty)) reject("frequencyPenalty must be a finite number");
  if (!std::isfinite(p.presence_penalty)) reject("presencePenalty must be a finite number");
}

std::vector<uint32_t> random_words(const std::vector<uint32_t>& counter, const std::vector<uint32_t>& key) {
  const PhiloxCounter words =
      philox4x32({counter.at(0), counter.at(1), counter.at(2), counter.at(3)}, {key.at(0), key.at(1)});
  return {words.begin(), words.end()};
}

}  // namespace mmprm
