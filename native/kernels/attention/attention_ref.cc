// The oracle of attention: one softmax over all keys of a row, in double, without chunks.
#include <algorithm>
#include <cmath>
#include <vector>

#include "base/float_types.h"
#include "kernels/attention/attention.h"

namespace mmprm::reference {
namespace {

double key_at(const KvPages& kv, const RowKeys& row, int head, int position, int d) {
  const int s = position % kPageTokens;
  const int at = kv.dtype == DType::kBF16 ? (d / 2 * kPageTokens + s) * 2 + d % 2 : d * kPageTokens + s;
  return load_as_f32(kv.keys(row.pages[position / kPageTokens], head), kv.dtype, at);
}

double value_at(const KvPages& kv, const RowKeys& row, int head, int position, int d) {
  const int D = kv.head_dim_D, s = position % kPageTokens;
  const int at = kv.dtype == DType::kBF16 ? (s / 2 * D + d) * 2 + s % 2 : s * D + d;
  return load_as_f32(kv.values(row.pages[position / kPageTokens], head), kv.dtype, at);
}

void attend(const AttentionArgs& args, int64_t t, int h) {
  const KvPages& kv = args.kv;
  const RowKeys& row = args.rows_T[t];
  const int D = kv.head_dim_D, g = h / (args.num_heads_H / kv.num_heads_G);
  const int64_t q_at = (args.q_rows ? args.q_rows[t] : t) * args.stride + int64_t(h) * D;

  const int first = args.window > 0 ? std::max(0, row.num_keys - args.window) : 0;
  std::vector<double> p(row.num_keys);
  for (int n = first; n < row.num_keys; ++n) {
    for (int d = 0; d < D; ++d) p[n] += load_as_f32(args.q, args.dtype, q_at + d) * key_at(kv, row, g, n, d);
  }
  const double max = *std::max_element(p.begin() + first, p.end());
  double sum = 0;
  for (int n = first; n < row.num_keys; ++n) sum += p[n] = std::exp(p[n] - max);
  for (int d = 0; d < D; ++d) {
    double o = 0;
    for (int n = first; n < row.num_keys; ++n) o += p[n] * value_at(kv, row, g, n, d);
    store_from_f32(args.o, args.dtype, t * args.stride + int64_t(h) * D + d, float(o / sum));
  }
}

int64_t units(const AttentionArgs& args) { return args.T; }

void run(const AttentionArgs& args, int64_t unit_begin, int64_t unit_end) {
  for (int64_t t = unit_begin; t < unit_end; ++t) {
    for (int h = 0; h < args.num_heads_H; ++h) attend(args, t, h);
  }
}

}  // namespace

extern const AttentionKernel attention;
const AttentionKernel attention = {units, run};

}  // namespace mmprm::reference
