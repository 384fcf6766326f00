#include "train/margin_loss.h"

#include <cmath>
#include <map>

namespace mmprm {
namespace {

// Of labels, which are F32: 0.9 and 0.8 differ by 0.1.
constexpr double kRounding = 1e-6;

// log(1 + e^x) without overflow.
double softplus(double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// Index of each term's row among the rows that have terms.
std::vector<size_t> rows_of(const std::vector<MarkerTerm>& terms) {
  std::vector<size_t> rows(terms.size());
  for (size_t i = 1; i < terms.size(); ++i) rows[i] = rows[i - 1] + (terms[i].row != terms[i - 1].row);
  return rows;
}

class Sum {
 public:
  Sum(const std::vector<MarkerTerm>& terms, const std::vector<double>& margins, int heads, double scale)
      : terms_(terms), rows_(rows_of(terms)), margins_(margins), heads_(heads), scale_(scale) {
    out_.d_margins.resize(margins.size());
  }

  void add_values() {
    for (size_t i = 0; i < terms_.size(); ++i) {
      const MarkerTerm& t = terms_[i];
      const double y = t.label;
      double loss = 0, p = 0;
      for (int e = 0; e < heads_; ++e) {
        const double z = margin(i, e), p_e = sigmoid(z);
        loss += y * softplus(-z) + (1 - y) * softplus(z);
        p += p_e;
        d_margin(i, e) += scale_ * t.weight * (p_e - y) / heads_;
      }
      p /= heads_;
      LossResult& result = out_.result;
      result.loss += t.weight * (loss / heads_);
      result.weight += t.weight;
      result.predictions.push_back(float(p));
      if (t.weight > 0) {  // others are only asked for their prediction: their label says nothing
        ++result.num_terms;
        result.num_correct += (p >= 0.5) == (y >= 0.5);
      }
    }
  }

  void add_ranks(const RankOptions& rank) {
    std::map<int32_t, std::vector<size_t>> sets;
    for (size_t i = 0; i < terms_.size(); ++i) {
      if (terms_[i].siblings >= 0 && terms_[i].weight > 0) sets[terms_[i].siblings].push_back(i);
    }
    for (const auto& [set, members] : sets) add_rank(members, rank);
  }

  MarginLoss take() { return std::move(out_); }

 private:
  double margin(size_t term, int head) const { return margins_[rows_[term] * heads_ + head]; }
  double& d_margin(size_t term, int head) { return out_.d_margins[rows_[term] * heads_ + head]; }

  void add_rank(const std::vector<size_t>& members, const RankOptions& rank) {
    std::vector<std::pair<size_t, size_t>> pairs;
    double weight = 0;
    for (size_t i : members) {
      weight += terms_[i].weight;
      for (size_t j : members) {
        const double gap = double(terms_[i].label) - terms_[j].label;
        if (gap > kRounding && gap >= rank.margin - kRounding) pairs.emplace_back(i, j);
      }
    }
    if (pairs.empty()) return;
    const double share = rank.weight * weight / (double(pairs.size()) * heads_);
    for (const auto& [better, worse] : pairs) {
      for (int e = 0; e < heads_; ++e) {
        const double gap = margin(better, e) - margin(worse, e), slope = scale_ * share * sigmoid(-gap);
        out_.result.loss += share * softplus(-gap);
        d_margin(better, e) -= slope;
        d_margin(worse, e) += slope;
      }
    }
  }

  const std::vector<MarkerTerm>& terms_;
  const std::vector<size_t> rows_;
  const std::vector<double>& margins_;
  const int heads_;
  const double scale_;
  MarginLoss out_;
};

}  // namespace

MarginLoss margin_loss(const std::vector<MarkerTerm>& terms, const std::vector<double>& margins, int heads,
                       const RankOptions& rank, double scale) {
  Sum sum(terms, margins, heads, scale);
  sum.add_values();
  if (rank.weight > 0) sum.add_ranks(rank);
  return sum.take();
}

}  // namespace mmprm
