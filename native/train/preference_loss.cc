#include "train/preference_loss.h"

#include <cmath>

namespace mmprm {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// -log σ(x) without overflow.
double negative_log_sigmoid(double x) {
  return x > 0 ? std::log1p(std::exp(-x)) : std::log1p(std::exp(x)) - x;
}

// An answer: its predicted tokens by their weights and by the terms of the plan that they became.
class Answer {
 public:
  Answer(const TrainSample& sample, const std::vector<int32_t>& terms) : terms_(terms) {
    for (size_t i = 1; i < sample.token_weights.size(); ++i) {
      if (sample.token_weights[i] == 0) continue;
      weights_.push_back(sample.token_weights[i]);
      weight_ += sample.token_weights[i];
    }
  }

  double weight() const { return weight_; }

  double logprob(const std::vector<double>& losses) const {
    double sum = 0;
    for (size_t k = 0; k < terms_.size(); ++k) sum -= weights_[k] * losses[terms_[k]];
    return sum;
  }

  // Adds `factor` · the cross-entropy of the answer.
  void add_to(std::vector<TokenTerm>& terms, double factor) const {
    for (size_t k = 0; k < terms_.size(); ++k) terms[terms_[k]].weight += factor * weights_[k];
  }

 private:
  const std::vector<int32_t>& terms_;
  std::vector<double> weights_;
  double weight_ = 0;
};

}  // namespace

LossResult PreferenceLoss::pairs(const TrainBatch& batch, const TrainPlan& plan, const Tensor& x,
                                 double scale, const Tensor& d_x) {
  const auto& [beta, smoothing, chosen_weight] = batch.preference;
  const std::vector<double> losses = tokens_.tokens(plan.token_terms, x, 0, {}).losses;
  std::vector<TokenTerm> terms = plan.token_terms;
  for (TokenTerm& term : terms) term.weight = 0;
  LossResult result;
  for (size_t s = 0; s < batch.samples.size(); s += 2) {
    const TrainSample &preferred = batch.samples[s], &other = batch.samples[s + 1];
    const Answer chosen(preferred, plan.terms_of[s]), rejected(other, plan.terms_of[s + 1]);
    const double log_c = chosen.logprob(losses), log_r = rejected.logprob(losses);
    const double margin = beta * ((log_c - preferred.reference) - (log_r - other.reference));
    result.loss += (1 - smoothing) * negative_log_sigmoid(margin) + smoothing * negative_log_sigmoid(-margin);
    result.loss -= chosen_weight * log_c / chosen.weight();
    // How fast the loss falls where log π(c) rises.
    const double slope = beta * ((1 - smoothing) * sigmoid(-margin) - smoothing * sigmoid(margin));
    chosen.add_to(terms, slope + chosen_weight / chosen.weight());
    rejected.add_to(terms, -slope);
    result.num_correct += margin > 0;
    result.logprobs.insert(result.logprobs.end(), {log_c, log_r});
  }
  result.num_terms = static_cast<int64_t>(batch.samples.size() / 2);
  result.weight = double(result.num_terms);
  if (!d_x.empty() && std::isfinite(result.loss)) tokens_.tokens(terms, x, scale, d_x);
  return result;
}

}  // namespace mmprm
