// Chooses tokens: penalties, temperature, top-k, top-p, min-p, then one draw by inverse transform.
//
// Filters compare and select; what they sum are whole numbers (base/fixed_point.h), so no order of work
// can change a row's outcome: a pure function of its logits, history, parameters and random number, equal
// on every device. Top-k keeps ties; top-p drops the lowest tokens while their cumulated share is <= 1 -
// p, among equals those of higher id first, and keeps at least one. Cost: a few passes over the row,
// never a sort of the vocabulary.
#pragma once
#include <cstdint>
#include <vector>

#include "device/sample.h"

namespace mmprm {

// log(softmax(logits)[token]) of the logits as the model gave them.
float log_probability(const float* logits, int V, int32_t token);

// Inverse transform: the first token at which the cumulated weight passes `uniform` of the whole. There is
// one, since the sums are exact and uniform < 1.
int32_t draw_token(const std::vector<int32_t>& tokens, const std::vector<float>& weights, double uniform);

// Scratch of one thread.
class Sampler {
 public:
  // Leaves the distribution in tokens() and weights(), in rising token order. Overwrites the logits.
  // Throws kInternal when no logit is a finite number.
  void shape(float* logits, int V, const SeenTokens& seen, const SamplingParams& params);
  const std::vector<int32_t>& tokens() const { return tokens_; }
  const std::vector<float>& weights() const {
    return weights_;
  }                               // exp(logit - largest): not yet divided by their sum
  uint64_t total_weight() const;  // in units of 2^-44

  int32_t draw(double uniform) const;

 private:
  void keep_all(const float* logits, int V);
  void keep_top_k(const float* logits, int V, int k);
  void weigh();
  void filter_min_p(float min_p);
  void filter_top_p(float top_p);
  uint64_t trim(uint64_t total, uint64_t dropped_at_most);
  template <typename Keep>
  void keep_if(Keep keep);

  std::vector<int32_t> tokens_;
  std::vector<float> weights_;  // logits until weigh()
  std::vector<float> scratch_;
};

}  // namespace mmprm
