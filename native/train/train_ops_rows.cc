// The ops of TrainOps that move and add whole rows.
#include <algorithm>

#include "train/train_ops.h"

namespace mmprm {
namespace {

constexpr int64_t kCopyGrain = 32;

}  // namespace

// One thread's work for a strip of columns, in the order of the rows: no two add to one place, and every sum has one
// order.
template <typename Columns>
void TrainOps::for_strips(int cols, Columns columns) {
  pool_.run((cols + kStripColumns - 1) / kStripColumns, 1, [&](int64_t begin, int64_t end) {
    columns(int(begin) * kStripColumns, std::min(cols, int(end) * kStripColumns));
  });
}

void TrainOps::clear(const Rows& x) {
  for (int r = 0; r < x.rows; ++r) std::fill_n(x.row(r), x.cols, 0.0f);
}

void TrainOps::write(const Rows& x, const float* packed) {
  for (int r = 0; r < x.rows; ++r) std::copy_n(packed + size_t(r) * x.cols, x.cols, x.row(r));
}

void TrainOps::join(const Rows& x, const Rows& y) {
  const int n = y.rows > 0 ? x.rows / y.rows : 0;
  pool_.run(y.rows, kCopyGrain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int i = 0; i < n; ++i) std::copy_n(x.row(r * n + i), x.cols, y.row(r) + int64_t(i) * x.cols);
    }
  });
}

void TrainOps::join_grad(const Rows& dy, const Rows& dx) {
  const int n = dy.rows > 0 ? dx.rows / dy.rows : 0;
  pool_.run(dx.rows, kCopyGrain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* from = dy.row(r / n) + r % n * dx.cols;
      float* to = dx.row(r);
      for (int c = 0; c < dx.cols; ++c) to[c] += from[c];
    }
  });
}

void TrainOps::mix(const Parameter& table, const std::vector<PositionMix>& mixes, const Rows& y) {
  pool_.run(y.rows, kCopyGrain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const PositionMix& mix = mixes[size_t(r)];
      std::fill_n(y.row(r), y.cols, 0.0f);
      for (int i = 0; i < 4; ++i) {
        const float* from = table.value() + size_t(mix.rows[i]) * table.cols;
        for (int c = 0; c < y.cols; ++c) y.row(r)[c] += mix.weights[i] * from[c];
      }
    }
  });
}

void TrainOps::mix_grad(const Parameter& table, const std::vector<PositionMix>& mixes, const Rows& dy) {
  if (!table.trainable) return;
  for_strips(dy.cols, [&](int first, int last) {
    for (int r = 0; r < dy.rows; ++r) {
      const PositionMix& mix = mixes[size_t(r)];
      for (int i = 0; i < 4; ++i) {
        float* to = table.gradient() + size_t(mix.rows[i]) * table.cols;
        for (int c = first; c < last; ++c) to[c] += mix.weights[i] * dy.row(r)[c];
      }
    }
  });
}

void TrainOps::add_chosen(const std::vector<int32_t>& ids, const Rows& rows, const Rows& x) {
  pool_.run(x.rows, kCopyGrain, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      if (ids[size_t(t)] >= 0) continue;
      const float* from = rows.row(-1 - ids[size_t(t)]);
      for (int c = 0; c < x.cols; ++c) x.row(t)[c] += from[c];
    }
  });
}

void TrainOps::add_chosen_grad(const std::vector<int32_t>& ids, const Rows& dx, const Rows& d_rows) {
  for_strips(dx.cols, [&](int first, int last) {
    for (int t = 0; t < dx.rows; ++t) {
      if (ids[size_t(t)] >= 0) continue;
      float* to = d_rows.row(-1 - ids[size_t(t)]);
      for (int c = first; c < last; ++c) to[c] += dx.row(t)[c];
    }
  });
}

}  // namespace mmprm
