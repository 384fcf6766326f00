#include "train/loss.h"

#include <algorithm>
#include <cmath>

namespace mmprm {
namespace {

constexpr size_t kLogitsAtOnce = size_t{1} << 21;  // floats: 8 MiB, which the last cache still holds

// The rows of terms that are sorted by row, each once.
template <typename Term>
std::vector<int32_t> rows_of(const std::vector<Term>& terms) {
  std::vector<int32_t> rows;
  for (const Term& term : terms) {
    if (rows.empty() || rows.back() != term.row) rows.push_back(term.row);
  }
  return rows;
}

// log(1 + e^x) without overflow.
double softplus(double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }

}  // namespace

void Loss::gather(const std::vector<int32_t>& row_ids, const Rows& x) {
  const int rows = static_cast<int>(row_ids.size());
  for (RowBuffer* b : {&hidden_, &normed_, &d_normed_, &d_hidden_}) b->reserve(rows);
  for (int r = 0; r < rows; ++r) std::copy_n(x.row(row_ids[r]), x.cols, hidden_.row_f32(r));
  ops_.norm(model_.decoder().final_norm, {hidden_, rows}, {normed_, rows});
}

void Loss::scatter_grad(const std::vector<int32_t>& row_ids, const Rows& d_x) {
  const int rows = static_cast<int>(row_ids.size());
  const Rows d_hidden(d_hidden_, rows);
  for (int r = 0; r < rows; ++r) std::fill_n(d_hidden.row(r), d_x.cols, 0.0f);
  ops_.norm_grad(model_.decoder().final_norm, {hidden_, rows}, {d_normed_, rows}, d_hidden);
  for (int r = 0; r < rows; ++r) std::copy_n(d_hidden.row(r), d_x.cols, d_x.row(row_ids[r]));
}

LossResult Loss::tokens(const std::vector<TokenTerm>& terms, const Rows& x, double scale, const Rows* d_x) {
  LossResult result;
  if (terms.empty()) return result;
  const TrainLinear& head = model_.decoder().head;
  const int V = head.weight->rows;
  const std::vector<int32_t> row_ids = rows_of(terms);
  gather(row_ids, x);
  const int rows = static_cast<int>(row_ids.size()),
            stride = static_cast<int>(activation_stride(V, DType::kF32));
  const int at_once = std::max(1, static_cast<int>(kLogitsAtOnce / stride));
  logits_.reserve(size_t(std::min(rows, at_once)) * stride * sizeof(float));
  std::vector<float> row_scale(at_once), lse(at_once), largest(at_once), target_logits;
  size_t term = 0;
  for (int first = 0; first < rows; first += at_once) {
    const int count = std::min(at_once, rows - first);
    Rows logits, normed(normed_, count), d_normed(d_normed_, count);
    logits.data = logits_.as<float>();
    logits.stride = stride;
    logits.rows = count;
    logits.cols = V;
    normed.data = normed_.row_f32(first);
    d_normed.data = d_normed_.row_f32(first);
    ops_.linear(head, normed, logits);

    const size_t first_term = term;
    std::fill(row_scale.begin(), row_scale.end(), 0.0f);
    target_logits.clear();
    for (int r = 0; r < count; ++r) {
      double weight = 0;
      for (; term < terms.size() && terms[term].row == row_ids[first + r]; ++term) {
        weight += terms[term].weight;
        target_logits.push_back(logits.row(r)[terms[term].target]);
      }
      row_scale[r] = float(scale * weight);
    }
    ops_.cross_entropy({logits.data, stride, V, row_scale.data(), lse.data(), largest.data()}, count);

    size_t at = first_term;
    for (int r = 0; r < count; ++r) {
      for (; at < term && terms[at].row == row_ids[first + r]; ++at) {
        const float logit = target_logits[at - first_term];
        result.loss += terms[at].weight * (double(lse[r]) - logit);
        result.weight += terms[at].weight;
        result.num_correct += logit >= largest[r];
        logits.row(r)[terms[at].target] -= float(scale * terms[at].weight);
      }
    }
    if (!d_x) continue;
    ops_.linear_grad_weight(head, normed, logits);
    ops_.linear_grad_input(head, logits, d_normed);
  }
  result.num_terms = static_cast<int64_t>(terms.size());
  if (d_x) scatter_grad(row_ids, *d_x);
  return result;
}

LossResult Loss::markers(const std::vector<MarkerTerm>& terms, const int32_t pair[2], const Rows& x,
                         double scale, const Rows* d_x) {
  LossResult result;
  if (terms.empty()) return result;
  const Parameter& head = *model_.decoder().head.weight;
  const int C = head.cols;
  const std::vector<int32_t> row_ids = rows_of(terms);
  gather(row_ids, x);
  const float *yes = head.value() + size_t(pair[0]) * C, *no = head.value() + size_t(pair[1]) * C;
  float* gradient = head.gradient();
  size_t term = 0;
  for (size_t r = 0; r < row_ids.size(); ++r) {
    const float* h = normed_.row_f32(r);
    double margin = 0;
    for (int c = 0; c < C; ++c) margin += double(h[c]) * yes[c] - double(h[c]) * no[c];
    const double p = 1 / (1 + std::exp(-margin));
    double d_margin = 0;
    for (; term < terms.size() && terms[term].row == row_ids[r]; ++term) {
      const MarkerTerm& t = terms[term];
      result.loss += t.weight * (t.label * softplus(-margin) + (1 - double(t.label)) * softplus(margin));
      result.weight += t.weight;
      result.predictions.push_back(float(p));
      if (t.weight > 0) {  // others are only asked for their prediction: their label says nothing
        ++result.num_terms;
        result.num_correct += (p >= 0.5) == (t.label >= 0.5f);
      }
      d_margin += scale * t.weight * (p - t.label);
    }
    if (!d_x) continue;
    for (int c = 0; c < C; ++c) d_normed_.row_f32(r)[c] = float(d_margin * (double(yes[c]) - no[c]));
    if (!gradient) continue;
    for (int c = 0; c < C; ++c) {
      gradient[size_t(pair[0]) * C + c] += float(d_margin * h[c]);
      gradient[size_t(pair[1]) * C + c] -= float(d_margin * h[c]);
    }
  }
  if (d_x) scatter_grad(row_ids, *d_x);
  return result;
}

}  // namespace mmprm
