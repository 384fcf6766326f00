// tree_attention, reference: one row and one head at a time, in double.
#include <cmath>
#include <vector>

#include "kernels/tree_attention/tree_attention.h"

namespace mmprm::reference {
namespace {

// Rows that row `i` of `segment` sees, in order.
std::vector<int32_t> visible_rows(const TreeAttentionArgs& args, const TreeSegment& segment, int i) {
  std::vector<TreeSegment> path{segment};
  if (args.causal) path.back().num_rows = i + 1;
  for (int32_t p = segment.parent; p >= 0; p = args.segments[p].parent) path.push_back(args.segments[p]);
  std::vector<int32_t> rows;
  for (auto s = path.rbegin(); s != path.rend(); ++s) {
    for (int r = 0; r < s->num_rows; ++r) rows.push_back(s->first_row + r);
  }
  if (args.window > 0 && int(rows.size()) > args.window) rows.erase(rows.begin(), rows.end() - args.window);
  return rows;
}

double dot(const float* a, const float* b, int n) {
  double sum = 0;
  for (int i = 0; i < n; ++i) sum += double(a[i]) * b[i];
  return sum;
}

// Calls body(row, head, visible rows) for every query of the unit.
template <typename Body>
void for_each_query(const TreeAttentionArgs& args, int64_t unit, Body body) {
  const int64_t tree = unit / args.num_heads_G;
  const int group = args.num_heads_H / args.num_heads_G, first_head = int(unit % args.num_heads_G) * group;
  for (int s = args.tree_begin_1[tree]; s < args.tree_begin_1[tree + 1]; ++s) {
    const TreeSegment& segment = args.segments[s];
    for (int i = 0; i < segment.num_rows; ++i) {
      const std::vector<int32_t> keys = visible_rows(args, segment, i);
      for (int h = first_head; h < first_head + group; ++h) body(segment.first_row + i, h, keys);
    }
  }
}

struct Heads {
  const TreeAttentionArgs& args;
  int h, D = args.head_dim_D, g = h / (args.num_heads_H / args.num_heads_G);
  int64_t q_at() const { return int64_t(h) * D; }
  int64_t k_at() const { return int64_t(args.num_heads_H + g) * D; }
  int64_t v_at() const { return int64_t(args.num_heads_H + args.num_heads_G + g) * D; }
  const float* at(int32_t row, int64_t column) const { return args.qkv + row * args.qkv_stride + column; }
};

size_t scratch_floats(const TreeAttentionArgs&) { return 0; }

void forward(const TreeAttentionArgs& args, int64_t unit, float*) {
  for_each_query(args, unit, [&](int32_t row, int h, const std::vector<int32_t>& keys) {
    const Heads heads{args, h};
    const int D = args.head_dim_D;
    std::vector<double> s;
    double max = -INFINITY, sum = 0;
    for (int32_t j : keys) {
      s.push_back(dot(heads.at(row, heads.q_at()), heads.at(j, heads.k_at()), D) / std::sqrt(double(D)));
      max = std::max(max, s.back());
    }
    for (double x : s) sum += std::exp(x - max);
    const double lse = max + std::log(sum);
    args.lse_TH[int64_t(row) * args.lse_stride + h] = float(lse);
    for (int d = 0; d < D; ++d) {
      double o = 0;
      for (size_t j = 0; j < keys.size(); ++j) o += std::exp(s[j] - lse) * heads.at(keys[j], heads.v_at())[d];
      args.o[row * args.o_stride + heads.q_at() + d] = float(o);
    }
  });
}

void backward(const TreeAttentionArgs& args, int64_t unit, float*) {
  const int D = args.head_dim_D;
  const int64_t tree = unit / args.num_heads_G;
  const Heads own{args, int(unit % args.num_heads_G) * (args.num_heads_H / args.num_heads_G)};
  for (int s = args.tree_begin_1[tree]; s < args.tree_begin_1[tree + 1]; ++s) {
    for (int r = 0; r < args.segments[s].num_rows; ++r) {
      float* d = args.d_qkv + (args.segments[s].first_row + r) * args.qkv_stride;
      for (int i = 0; i < D; ++i) d[own.k_at() + i] = d[own.v_at() + i] = 0;
    }
  }
  for_each_query(args, unit, [&](int32_t row, int h, const std::vector<int32_t>& keys) {
    const Heads heads{args, h};
    const double scale = 1 / std::sqrt(double(D)), lse = args.lse_TH[int64_t(row) * args.lse_stride + h];
    const float* d_o = args.d_o + row * args.d_o_stride + heads.q_at();
    const float* q = heads.at(row, heads.q_at());
    const double delta = dot(d_o, args.o + row * args.o_stride + heads.q_at(), D);
    std::vector<double> d_q(D);
    for (int32_t j : keys) {
      const float *k = heads.at(j, heads.k_at()), *v = heads.at(j, heads.v_at());
      float* d_key_row = args.d_qkv + j * args.qkv_stride;
      const double p = std::exp(scale * dot(q, k, D) - lse), d_s = scale * p * (dot(d_o, v, D) - delta);
      for (int d = 0; d < D; ++d) {
        d_q[d] += d_s * k[d];
        d_key_row[heads.k_at() + d] += float(d_s * q[d]);
        d_key_row[heads.v_at() + d] += float(p * d_o[d]);
      }
    }
    for (int d = 0; d < D; ++d) args.d_qkv[row * args.qkv_stride + heads.q_at() + d] = float(d_q[d]);
  });
}

}  // namespace

extern const TreeAttentionKernel tree_attention;
const TreeAttentionKernel tree_attention = {scratch_floats, forward, backward};

}  // namespace mmprm::reference
