// Training on the CPU: losses and the optimizer.
#include <algorithm>
#include <cmath>

#include "cpu/cpu_training.h"
#include "cpu/training_access.h"

namespace mmprm {
namespace {

constexpr int64_t kRunGrain = 16;

// Elements [begin, begin + size) of one of the tensors of an op.
struct Run {
  int32_t tensor;
  int64_t begin, size;
};

// As kernels/adamw wants them, tensor by tensor; `tensor_of(i)` is tensor i.
template <typename TensorOf>
std::vector<Run> runs_of(int32_t num_tensors, TensorOf&& tensor_of) {
  std::vector<Run> runs;
  for (int32_t i = 0; i < num_tensors; ++i) {
    const Tensor& t = tensor_of(i);
    require(t.stride == t.cols, "a parameter with gaps between its rows");
    for (int64_t begin = 0; begin < size_of(t); begin += kAdamwRun)
      runs.push_back({i, begin, std::min(kAdamwRun, size_of(t) - begin)});
  }
  return runs;
}

void require_terms(const TokenLossOp::Term* terms, int32_t count, int rows) {
  for (int32_t i = 0; i < count; ++i) {
    require(terms[i].row < rows && (i == 0 ? terms[i].row >= 0 : terms[i].row >= terms[i - 1].row),
            "terms of a loss that are not sorted by row");
  }
}

}  // namespace

void CpuTraining::token_loss(const TokenLossOp& op) {
  require_terms(op.terms, op.num_terms, op.logits.rows);
  require(op.values.rows == op.num_terms && op.values.cols == 3, "values of a loss that do not fit");
  const int rows = op.logits.rows;
  std::vector<double> weight(rows);
  std::vector<float> scale(rows), lse(rows), largest(rows);
  for (int32_t i = 0; i < op.num_terms; ++i) {
    const TokenLossOp::Term& t = op.terms[i];
    weight[t.row] += t.weight;
    row_of<float>(op.values, i)[1] = row_of<float>(op.logits, t.row)[t.target];
  }
  for (int r = 0; r < rows; ++r) scale[r] = float(op.scale * weight[r]);
  const CrossEntropyArgs args{floats(op.logits), op.logits.stride, op.logits.cols,
                              scale.data(),      lse.data(),       largest.data()};
  pool_.run(rows, 1, [&](int64_t b, int64_t e) { kernels_.cross_entropy.run(args, b, e); });
  for (int32_t i = 0; i < op.num_terms; ++i) {
    const TokenLossOp::Term& t = op.terms[i];
    row_of<float>(op.values, i)[0] = lse[t.row];
    row_of<float>(op.values, i)[2] = largest[t.row];
    row_of<float>(op.logits, t.row)[t.target] -= float(op.scale * t.weight);
  }
}

void CpuTraining::margins(const MarginsOp& op) {
  require(op.margins.dtype == DType::kF64 && op.margins.rows == op.h.rows && op.head.cols == op.h.cols,
          "margins of tensors that do not fit");
  const float *yes = row_of<float>(op.head, op.pair[0]), *no = row_of<float>(op.head, op.pair[1]);
  for (int r = 0; r < op.h.rows; ++r) {
    const float* h = row_of<float>(op.h, r);
    double margin = 0;
    for (int c = 0; c < op.h.cols; ++c) margin += double(h[c]) * yes[c] - double(h[c]) * no[c];
    *row_of<double>(op.margins, r) = margin;
  }
}

void CpuTraining::margins_grad(const MarginsGradOp& op) {
  require(same_shape(op.d_h, op.h) && op.head.cols == op.h.cols &&
              (op.d_head.empty() || same_shape(op.d_head, op.head)),
          "a gradient of margins that does not fit");
  const int C = op.h.cols;
  const float *yes = row_of<float>(op.head, op.pair[0]), *no = row_of<float>(op.head, op.pair[1]);
  for (int r = 0; r < op.h.rows; ++r) {
    const float* h = row_of<float>(op.h, r);
    float* d_h = row_of<float>(op.d_h, r);
    const double d_margin = op.d_margins[r];
    for (int c = 0; c < C; ++c) d_h[c] = float(d_margin * (double(yes[c]) - no[c]));
    if (op.d_head.empty()) continue;
    float *d_yes = row_of<float>(op.d_head, op.pair[0]), *d_no = row_of<float>(op.d_head, op.pair[1]);
    for (int c = 0; c < C; ++c) {
      d_yes[c] += float(d_margin * h[c]);
      d_no[c] -= float(d_margin * h[c]);
    }
  }
}

void CpuTraining::sum_of_squares(const SumOfSquaresOp& op) {
  require(op.sum.dtype == DType::kF64, "a sum of squares is a double");
  const std::vector<Run> runs =
      runs_of(op.num_tensors, [&](int32_t i) -> const Tensor& { return op.tensors[i]; });
  std::vector<double> squares(runs.size());
  pool_.run(int64_t(runs.size()), kRunGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      squares[i] =
          kernels_.adamw.sum_of_squares(floats(op.tensors[runs[i].tensor]) + runs[i].begin, runs[i].size);
  });
  double sum = 0;
  for (double s : squares) sum += s;
  *row_of<double>(op.sum, 0) = sum;
}

void CpuTraining::adamw(const AdamwOp& op) {
  const std::vector<Run> runs =
      runs_of(op.num_parameters, [&](int32_t i) -> const Tensor& { return op.parameters[i].value; });
  AdamwArgs common;
  common.clip = op.clip;
  common.learning_rate = op.learning_rate;
  common.beta1 = op.beta1;
  common.beta2 = op.beta2;
  common.eps = op.eps;
  common.correction1 = op.correction1;
  common.correction2 = op.correction2;
  pool_.run(int64_t(runs.size()), kRunGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const AdamwParameter& p = op.parameters[runs[i].tensor];
      AdamwArgs args = common;
      args.weight = floats(p.value) + runs[i].begin;
      args.gradient = floats(p.gradient) + runs[i].begin;
      args.m = floats(p.m) + runs[i].begin;
      args.v = floats(p.v) + runs[i].begin;
      args.size = runs[i].size;
      args.decay = p.decay;
      kernels_.adamw.run(args);
    }
  });
}

}  // namespace mmprm
