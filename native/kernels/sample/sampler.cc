#include "kernels/sample/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "base/fixed_point.h"
#include "include/engine/error.h"
#include "kernels/sample/weight.h"

namespace mmprm {
namespace {

constexpr int kBlock = 64;  // logits looked at together: one comparison decides for most blocks
constexpr int kTrims = 4;
constexpr float kNone = -std::numeric_limits<float>::infinity();

float largest_of(const float* logits, int count) {
  float best[8] = {kNone, kNone, kNone, kNone, kNone, kNone, kNone, kNone};
  int i = 0;
  for (; i + 8 <= count; i += 8) {
    for (int j = 0; j < 8; ++j) best[j] = logits[i + j] > best[j] ? logits[i + j] : best[j];
  }
  for (; i < count; ++i) best[0] = std::max(best[0], logits[i]);
  return *std::max_element(best, best + 8);
}

// Reorders the values.
float kth_largest(float* values, int count, int k) {
  std::nth_element(values, values + (k - 1), values + count, std::greater<float>());
  return values[k - 1];
}

float checked_largest(const float* logits, int V) {
  const float largest = largest_of(logits, V);
  if (std::isfinite(largest)) return largest;
  throw Error(ErrorCode::kInternal, "the model's logits hold no finite number to choose from");
}

void penalise(float* logits, const SeenTokens& seen, const SamplingParams& params) {
  const float r = params.repetition_penalty;
  if (r != 1) {
    for (int32_t token : seen.repeated)
      logits[token] = logits[token] < 0 ? logits[token] * r : logits[token] / r;
  }
  if (params.frequency_penalty == 0 && params.presence_penalty == 0) return;
  for (const TokenCount& c : seen.generated) {
    logits[c.token] -= params.frequency_penalty * float(c.times);
    logits[c.token] -= params.presence_penalty;
  }
}

}  // namespace

int32_t draw_token(const std::vector<int32_t>& tokens, const std::vector<float>& weights, double uniform) {
  thread_local std::vector<uint64_t> sums;  // of the blocks
  sums.clear();
  uint64_t total = 0;
  for (size_t i = 0; i < weights.size(); i += kBlock) {
    sums.push_back(sum_fixed(&weights[i], std::min<size_t>(kBlock, weights.size() - i)));
    total += sums.back();
  }
  const uint64_t target = share_of(total, uniform);
  uint64_t sum = 0;
  size_t block = 0;
  while (block + 1 < sums.size() && sum + sums[block] <= target) sum += sums[block++];
  size_t i = block * kBlock;
  while (i + 1 < weights.size() && (sum += to_fixed(weights[i])) <= target) ++i;
  return tokens[i];
}

float log_probability(const float* logits, int V, int32_t token) {
  const float largest = checked_largest(logits, V);
  uint64_t sum = 0;
  for (int i = 0; i < V; i += kBlock) {
    const int count = std::min(kBlock, V - i);
    float block[kBlock] = {};
    for (int j = 0; j < count; ++j) block[j] = exp_nonpositive(logits[i + j] - largest);
    sum += sum_fixed(block, kBlock);
  }
  return log_probability(logits[token], largest, sum);
}

void Sampler::shape(float* logits, int V, const SeenTokens& seen, const SamplingParams& params) {
  penalise(logits, seen, params);
  if (params.temperature < kGreedyBelow) {
    const float largest = checked_largest(logits, V);
    tokens_.assign(1, static_cast<int32_t>(std::find(logits, logits + V, largest) - logits));
    weights_.assign(1, 1.0f);
    return;
  }
  if (params.temperature != 1) {
    for (int i = 0; i < V; ++i) logits[i] /= params.temperature;
  }
  if (params.top_k > 0 && params.top_k < V) {
    keep_top_k(logits, V, params.top_k);
  } else {
    keep_all(logits, V);
  }
  weigh();
  // WHY min-p may follow top-k in either order: it compares with the largest weight, which both keep.
  if (params.order == SamplingOrder::kVllm) {
    filter_min_p(params.min_p);
    filter_top_p(params.top_p);
  } else {
    filter_top_p(params.top_p);
    filter_min_p(params.min_p);
  }
}

template <typename Keep>
void Sampler::keep_if(Keep keep) {
  size_t count = 0;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    if (!keep(weights_[i])) continue;
    tokens_[count] = tokens_[i];
    weights_[count++] = weights_[i];
  }
  tokens_.resize(count);
  weights_.resize(count);
}

void Sampler::keep_all(const float* logits, int V) {
  tokens_.resize(V);
  std::iota(tokens_.begin(), tokens_.end(), 0);
  weights_.assign(logits, logits + V);
  if (std::find_if(logits, logits + V, [](float l) { return !(l > kNone); }) == logits + V) return;
  keep_if([](float logit) { return logit > kNone; });
}

// The k-th largest of the blocks' maxima is a value that at least k logits reach, so only blocks whose
// maximum reaches it can hold any of the k largest: about k blocks.
void Sampler::keep_top_k(const float* logits, int V, int k) {
  const int num_blocks = (V + kBlock - 1) / kBlock;
  scratch_.resize(2 * size_t(num_blocks));
  for (int b = 0; b < num_blocks; ++b) {
    scratch_[b] = scratch_[num_blocks + b] =
        largest_of(logits + b * kBlock, std::min(kBlock, V - b * kBlock));
  }
  float threshold = kNone;
  if (k <= num_blocks) threshold = kth_largest(scratch_.data() + num_blocks, num_blocks, k);
  tokens_.clear();
  weights_.clear();
  for (int b = 0; b < num_blocks; ++b) {
    if (!(scratch_[b] >= threshold)) continue;
    for (int i = b * kBlock; i < std::min((b + 1) * kBlock, V); ++i) {
      if (!(logits[i] >= threshold) || logits[i] == kNone) continue;
      tokens_.push_back(i);
      weights_.push_back(logits[i]);
    }
  }
  if (tokens_.size() <= size_t(k)) return;
  scratch_ = weights_;
  threshold = kth_largest(scratch_.data(), static_cast<int>(scratch_.size()), k);
  keep_if([threshold](float logit) { return logit >= threshold; });
}

void Sampler::weigh() {
  const float largest = checked_largest(weights_.data(), static_cast<int>(weights_.size()));
  for (float& w : weights_) w = exp_nonpositive(w - largest);
}

uint64_t Sampler::total_weight() const { return sum_fixed(weights_.data(), weights_.size()); }

void Sampler::filter_min_p(float min_p) {
  if (min_p > 0) keep_if([min_p](float weight) { return weight >= min_p; });
}

// Copies to scratch_ what top-p may keep of the weights, in their order, and returns the sum of the others:
// whatever is below an equal share of what may be dropped, all of it may be. Most of a vocabulary goes here.
uint64_t Sampler::trim(uint64_t total, uint64_t dropped_at_most) {
  uint64_t dropped = 0;
  size_t count = weights_.size();
  scratch_.resize(count);
  const float* from = weights_.data();
  for (int round = 0; round < kTrims; ++round) {
    // A little less, so that rounding cannot drop more than may be.
    const float share = 0.99999f * float(from_fixed(dropped_at_most - dropped) / double(count));
    size_t kept = 0;
    for (size_t i = 0; i < count; ++i) {
      const float w = from[i];
      scratch_[kept] = w;
      kept += !(w < share);
    }
    count = kept;
    from = scratch_.data();
    dropped = total - sum_fixed(from, count);  // sums are exact, so they can be taken from each other
  }
  scratch_.resize(count);
  return dropped;
}

// Finds the lowest weight that stays by quickselect on cumulated weight.
void Sampler::filter_top_p(float top_p) {
  if (top_p >= 1 || tokens_.size() <= 1) return;
  const uint64_t total = total_weight(), dropped_at_most = share_of(total, 1.0 - double(top_p));
  uint64_t mass_below = trim(total, dropped_at_most);  // of what is known to be dropped
  auto begin = scratch_.begin(), end = scratch_.end();
  for (;;) {
    const float pivot = begin[(end - begin) / 2];
    const auto equal = std::partition(begin, end, [pivot](float w) { return w < pivot; });
    const auto above = std::partition(equal, end, [pivot](float w) { return w == pivot; });
    const uint64_t mass = mass_below + (equal == begin ? 0 : sum_fixed(&*begin, size_t(equal - begin)));
    if (mass > dropped_at_most) {  // the boundary lies among the lower ones
      end = equal;
      continue;
    }
    const uint64_t room = dropped_at_most - mass, each = to_fixed(pivot);
    const auto num_equal = uint64_t(above - equal);
    const bool all_fit = room >= each * num_equal;
    if (all_fit && above != end) {
      mass_below = mass + each * num_equal;
      begin = above;
      continue;
    }
    uint64_t num_dropped = all_fit ? num_equal : room / each;
    if (above == scratch_.end()) num_dropped = std::min(num_dropped, num_equal - 1);
    auto num_kept = int64_t(num_equal - num_dropped);
    keep_if([&](float weight) { return weight > pivot || (weight == pivot && num_kept-- > 0); });
    return;
  }
}

int32_t Sampler::draw(double uniform) const { return draw_token(tokens_, weights_, uniform); }

}  // namespace mmprm
