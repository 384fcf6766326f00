// Training on the CPU: the ops that fill, move and add rows. Sums into one place are one thread's work for a strip of
// columns, in the order of the rows.
#include <algorithm>

#include "cpu/cpu_training.h"
#include "cpu/training_access.h"

namespace mmprm {
namespace {

constexpr int64_t kRowGrain = 32;

void copy_row(const Tensor& y, int64_t to, const Tensor& x, int64_t from) {
  std::copy_n(row_of<float>(x, from), y.cols, row_of<float>(y, to));
}

void add_row(float* to, const float* from, int cols) {
  for (int c = 0; c < cols; ++c) to[c] += from[c];
}

// Calls body(row of y, first of its columns, row of x) for the parts that a fold moves: FoldOp says which.
template <typename Body>
void for_each_part(const UnfoldOp& op, int64_t row, Body&& body) {
  const int f = op.factor, out_side = op.side / f, tokens = out_side * out_side;
  int R = int(row % tokens) / out_side, Q = int(row % tokens) % out_side;
  if (op.transposed) std::swap(R, Q);
  const int64_t first = row / tokens * (op.skip + op.side * op.side) + op.skip;
  for (int d = 0; d < f * f; ++d) body(d * op.x.cols, first + (f * R + d / f) * op.side + f * Q + d % f);
}

}  // namespace

template <typename Body>
void CpuTraining::for_rows(int64_t rows, Body&& body) {
  pool_.run(rows, kRowGrain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) body(r);
  });
}

// body(first column, columns)
template <typename Body>
void CpuTraining::for_strips(int cols, Body&& body) {
  pool_.run((cols + kStripColumns - 1) / kStripColumns, 1, [&](int64_t begin, int64_t end) {
    const int first = int(begin) * kStripColumns;
    body(first, std::min(cols, int(end) * kStripColumns) - first);
  });
}

void CpuTraining::fill(const FillOp& op) {
  for_rows(op.x.rows, [&](int64_t r) { std::fill_n(row_of<float>(op.x, r), op.x.cols, op.value); });
}

void CpuTraining::scale(const ScaleOp& op) {
  for_rows(op.x.rows, [&](int64_t r) {
    float* x = row_of<float>(op.x, r);
    for (int c = 0; c < op.x.cols; ++c) x[c] *= op.factor;
  });
}

void CpuTraining::add(const AddOp& op) {
  require(same_shape(op.x, op.y) && same_shape(op.z, op.y), "a sum of tensors that do not fit");
  for_rows(op.y.rows, [&](int64_t r) {
    const float *x = row_of<float>(op.x, r), *z = row_of<float>(op.z, r);
    float* y = row_of<float>(op.y, r);
    for (int c = 0; c < op.y.cols; ++c) y[c] = x[c] + z[c];
  });
}

void CpuTraining::relu(const ReluOp& op) {
  for_rows(op.x.rows, [&](int64_t r) {
    float* x = row_of<float>(op.x, r);
    for (int c = 0; c < op.x.cols; ++c) x[c] = std::max(x[c], 0.0f);
  });
}

void CpuTraining::relu_grad(const ReluGradOp& op) {
  require(same_shape(op.dx, op.y), "a ReLU that does not fit");
  for_rows(op.y.rows, [&](int64_t r) {
    float* dx = row_of<float>(op.dx, r);
    const float* y = row_of<float>(op.y, r);
    for (int c = 0; c < op.y.cols; ++c) dx[c] = y[c] > 0 ? dx[c] : 0.0f;
  });
}

void CpuTraining::look_up(const LookUpOp& op) {
  const std::vector<int32_t>& tokens = plan_of(op.trees).tokens_T;
  require(int64_t(tokens.size()) == op.x.rows, "rows to look up that do not fit");
  for_rows(op.x.rows, [&](int64_t t) {
    if (tokens[t] < 0) {
      copy_row(op.x, t, op.image_rows, -1 - tokens[t]);
    } else {
      copy_row(op.x, t, op.table, tokens[t]);
    }
  });
}

void CpuTraining::look_up_grad(const LookUpGradOp& op) {
  const std::vector<int32_t>& tokens = plan_of(op.trees).tokens_T;
  require(int64_t(tokens.size()) == op.dx.rows, "rows that were looked up do not fit");
  for_strips(op.dx.cols, [&](int first, int cols) {
    for (int t = 0; t < op.dx.rows; ++t) {
      const Tensor& into = tokens[t] < 0 ? op.d_image_rows : op.d_table;
      if (into.empty()) continue;
      float* to = row_of<float>(into, tokens[t] < 0 ? -1 - tokens[t] : tokens[t]);
      add_row(to + first, row_of<float>(op.dx, t) + first, cols);
    }
  });
}

void CpuTraining::add_looked_up(const AddLookedUpOp& op) {
  const std::vector<int32_t>& tokens = plan_of(op.trees).tokens_T;
  require(int64_t(tokens.size()) == op.x.rows, "rows to look up that do not fit");
  for_rows(op.x.rows, [&](int64_t t) {
    if (tokens[t] >= 0) return;
    add_row(row_of<float>(op.x, t), row_of<float>(op.image_rows, -1 - tokens[t]), op.x.cols);
  });
}

void CpuTraining::gather_rows(const GatherRowsOp& op) {
  for_rows(op.y.rows, [&](int64_t r) { copy_row(op.y, r, op.x, op.rows[r]); });
}

void CpuTraining::scatter_rows(const ScatterRowsOp& op) {
  for_rows(op.x.rows, [&](int64_t r) { copy_row(op.y, op.rows[r], op.x, r); });
}

void CpuTraining::mix_rows(const MixRowsOp& op) {
  for_rows(op.y.rows, [&](int64_t r) {
    float* y = row_of<float>(op.y, r);
    std::fill_n(y, op.y.cols, 0.0f);
    for (int64_t tap = r * op.taps; tap < (r + 1) * op.taps; ++tap) {
      const float* x = row_of<float>(op.x, op.rows[tap]);
      for (int c = 0; c < op.y.cols; ++c) y[c] += op.weights[tap] * x[c];
    }
  });
}

void CpuTraining::mix_rows_grad(const MixRowsGradOp& op) {
  for_strips(op.dy.cols, [&](int first, int cols) {
    for (int64_t tap = 0; tap < int64_t(op.dy.rows) * op.taps; ++tap) {
      const float* dy = row_of<float>(op.dy, tap / op.taps) + first;
      float* dx = row_of<float>(op.dx, op.rows[tap]) + first;
      for (int c = 0; c < cols; ++c) dx[c] += op.weights[tap] * dy[c];
    }
  });
}

void CpuTraining::unfold(const UnfoldOp& op) {
  require(op.y.cols == op.factor * op.factor * op.x.cols, "rows to unfold that do not fit");
  for_rows(op.y.rows, [&](int64_t r) {
    for_each_part(op, r, [&](int column, int64_t row) {
      const float* from = row_of<float>(op.y, r) + column;
      if (op.add) {
        add_row(row_of<float>(op.x, row), from, op.x.cols);
      } else {
        std::copy_n(from, op.x.cols, row_of<float>(op.x, row));
      }
    });
  });
}

}  // namespace mmprm
