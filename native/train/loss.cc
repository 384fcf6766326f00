#include "train/loss.h"

#include <algorithm>
#include <cmath>

namespace mmprm {
namespace {

constexpr int64_t kLogitsAtOnce = int64_t{1} << 21;  // floats: 8 MiB, which the last cache still holds

// The rows of terms that are sorted by row, each once.
template <typename Term>
std::vector<int32_t> rows_of(const std::vector<Term>& terms) {
  std::vector<int32_t> rows;
  for (const Term& term : terms) {
    if (rows.empty() || rows.back() != term.row) rows.push_back(term.row);
  }
  return rows;
}

}  // namespace

void Loss::gather(const std::vector<int32_t>& row_ids, const Tensor& x) {
  const int rows = static_cast<int>(row_ids.size());
  for (Tensor* t : {&hidden_, &normed_, &d_normed_, &d_hidden_})
    workspace_.reserve(*t, rows, x.cols, DType::kF32);
  const Tensor hidden = hidden_.part(0, rows);
  ops_.device_ops().gather_rows({hidden, x, row_ids.data()});
  ops_.norm(model_.decoder().final_norm, hidden, normed_.part(0, rows));
}

void Loss::scatter_grad(const std::vector<int32_t>& row_ids, const Tensor& d_x) {
  const int rows = static_cast<int>(row_ids.size());
  const Tensor d_hidden = d_hidden_.part(0, rows);
  ops_.clear(d_hidden);
  ops_.norm_grad(model_.decoder().final_norm, hidden_.part(0, rows), d_normed_.part(0, rows), d_hidden);
  ops_.device_ops().scatter_rows({d_x, d_hidden, row_ids.data()});
}

LossResult Loss::tokens(const std::vector<TokenTerm>& terms, const Tensor& x, double scale,
                        const Tensor& d_x) {
  if (terms.empty()) return {};
  const TrainLinear& head = model_.decoder().head;
  const int V = head.weight->rows;
  const std::vector<int32_t> row_ids = rows_of(terms);
  gather(row_ids, x);
  const int rows = static_cast<int>(row_ids.size());
  workspace_.reserve(logits_, 1, V, DType::kF32);  // tells the stride
  const int at_once = static_cast<int>(std::max<int64_t>(1, kLogitsAtOnce / logits_.stride));
  workspace_.reserve(logits_, std::min(rows, at_once), V, DType::kF32);
  workspace_.reserve(values_, static_cast<int>(terms.size()), 3, DType::kF32);
  std::vector<TokenLossOp::Term> block;
  size_t term = 0;
  for (int first = 0; first < rows; first += at_once) {
    const int count = std::min(at_once, rows - first);
    const Tensor logits = logits_.part(0, count), normed = normed_.part(first, count);
    ops_.linear(head, normed, logits);
    block.clear();
    const int64_t first_term = int64_t(term);
    for (int r = 0; r < count; ++r) {
      for (; term < terms.size() && terms[term].row == row_ids[first + r]; ++term)
        block.push_back({r, terms[term].target, terms[term].weight});
    }
    const int32_t size = static_cast<int32_t>(block.size());
    ops_.device_ops().token_loss({values_.part(first_term, size), logits, block.data(), size, scale});
    if (d_x.empty()) continue;
    ops_.linear_grad_weight(head, normed, logits);
    ops_.linear_grad_input(head, logits, d_normed_.part(first, count));
  }
  if (!d_x.empty()) scatter_grad(row_ids, d_x);
  return read_tokens(terms);
}

LossResult Loss::read_tokens(const std::vector<TokenTerm>& terms) const {
  std::vector<float> values(3 * terms.size());
  ops_.device().read(values.data(), values_.part(0, static_cast<int>(terms.size())));
  LossResult result;
  for (size_t i = 0; i < terms.size(); ++i) {
    const float lse = values[3 * i], logit = values[3 * i + 1], largest = values[3 * i + 2];
    result.losses.push_back(double(lse) - logit);
    result.loss += terms[i].weight * result.losses.back();
    result.weight += terms[i].weight;
    result.num_correct += logit >= largest;
  }
  result.num_terms = static_cast<int64_t>(terms.size());
  return result;
}

LossResult Loss::markers(const std::vector<MarkerTerm>& terms, const TrainBatch& batch, const Tensor& x,
                         double scale, const Tensor& d_x) {
  if (terms.empty()) return {};
  const std::vector<int32_t> row_ids = rows_of(terms);
  gather(row_ids, x);
  const int rows = static_cast<int>(row_ids.size());
  MarginLoss loss = margin_loss(terms, margins(rows, batch.pair), margins_of_row(), batch.rank, scale);
  if (!d_x.empty()) {
    margins_grad(loss.d_margins, rows, batch.pair);
    scatter_grad(row_ids, d_x);
  }
  return std::move(loss.result);
}

std::vector<double> Loss::margins(int rows, const int32_t pair[2]) {
  const Tensor normed = normed_.part(0, rows);
  std::vector<double> margins(size_t(rows) * margins_of_row());
  if (model_.head().empty()) {
    workspace_.reserve(margins_, rows, 1, DType::kF64);
    const Tensor out = margins_.part(0, rows);
    ops_.device_ops().margins({out, normed, model_.decoder().head.weight->value, {pair[0], pair[1]}});
    ops_.device().read(margins.data(), out);
    return margins;
  }
  std::vector<float> logits(size_t(rows) * model_.head().outputs());
  ops_.device().read(logits.data(), head_.forward(normed));
  if (!is_two_classes()) return {logits.begin(), logits.end()};
  for (int r = 0; r < rows; ++r) margins[r] = double(logits[2 * r + 1]) - logits[2 * r];
  return margins;
}

void Loss::margins_grad(const std::vector<double>& d_margins, int rows, const int32_t pair[2]) {
  const Tensor d_normed = d_normed_.part(0, rows);
  if (model_.head().empty()) {
    const Parameter& head = *model_.decoder().head.weight;
    ops_.device_ops().margins_grad(
        {d_normed, head.gradient, normed_.part(0, rows), head.value, d_margins.data(), {pair[0], pair[1]}});
    return;
  }
  if (!is_two_classes()) return head_.backward({d_margins.begin(), d_margins.end()}, d_normed);
  std::vector<float> d_logits;
  for (double d : d_margins) d_logits.insert(d_logits.end(), {float(-d), float(d)});
  head_.backward(d_logits, d_normed);
}

}  // namespace mmprm
