// tree_attention, wide: blocks of queries against one segment of keys after another, as small products.
//
//   forward   S = q·kᵀ          P = softmax(S)          o = P·v
//   backward  dP = do·vᵀ        dS = P∘(dP - rowsum(do∘o))/sqrt(D)      dq = dS·k   dk += dSᵀ·q   dv += Pᵀ·do
#include "kernels/matmul/matmul_tile.h"
#include "kernels/simd/activation.h"
#include "kernels/tree_attention/tree_attention.h"

namespace mmprm::MMPRM_ISA {
namespace {

constexpr int kQueries = 64;  // of one block

int score_stride(const TreeAttentionArgs& args) { return (args.max_keys + kLanes - 1) / kLanes * kLanes; }

// Queries [first, first + count) of a segment, for one head.
struct Block {
  const TreeAttentionArgs& args;
  const TreeSegment& segment;
  int before;  // rows of all ancestors
  int first, count;
  int h, g;
  float* scores;    // [count, score_stride]
  float* d_scores;  // likewise

  int64_t row() const { return segment.first_row + first; }
  int own_keys() const { return args.causal ? first + count : segment.num_rows; }
  int row_keys(int i) const { return before + (args.causal ? first + i + 1 : segment.num_rows); }
  int all_keys() const { return before + own_keys(); }
  int first_key(int i) const {
    const int behind = row_keys(i) - args.window;
    return args.window > 0 && behind > 0 ? behind : 0;
  }
  int64_t q_at() const { return int64_t(h) * args.head_dim_D; }
  int64_t k_at() const { return int64_t(args.num_heads_H + g) * args.head_dim_D; }
  int64_t v_at() const { return int64_t(args.num_heads_H + args.num_heads_G + g) * args.head_dim_D; }
  const float* q() const { return args.qkv + row() * args.qkv_stride + q_at(); }
  const float* d_o() const { return args.d_o + row() * args.d_o_stride + q_at(); }

  // body(first row, number of keys, column of the scores) for the own segment, then each ancestor: what some row of the
  // block sees of them.
  template <typename Body>
  void for_each_span(Body body) const {
    const int first_seen = first_key(0);
    const auto seen = [&](int64_t row, int keys, int column) {
      const int unseen = first_seen > column ? first_seen - column : 0;
      if (unseen < keys) body(row + unseen, keys - unseen, column + unseen);
    };
    int column = before;
    seen(segment.first_row, own_keys(), column);
    for (int p = segment.parent; p >= 0 && column > first_seen; p = args.segments[p].parent) {
      column -= args.segments[p].num_rows;
      seen(args.segments[p].first_row, args.segments[p].num_rows, column);
    }
  }
};

template <typename Step>
void multiply(MatmulOperand a, MatmulOperand b, float* c, int64_t c_stride, int M, int N, int K, bool add) {
  MatmulArgs args;
  args.a = a;
  args.b = b;
  args.c = c;
  args.c_stride = c_stride;
  args.M = M;
  args.N = N;
  args.K = K;
  if (add) {
    args.addend = c;
    args.addend_stride = c_stride;
  }
  multiply_alone<Step>(args);
}

inline float sum_of(Vec v) {
  float lanes[kLanes], sum = 0;
  store(lanes, v);
  for (int i = 0; i < kLanes; ++i) sum += lanes[i];
  return sum;
}

inline float max_of(Vec v) {
  float lanes[kLanes];
  store(lanes, v);
  float max = lanes[0];
  for (int i = 1; i < kLanes; ++i) max = lanes[i] > max ? lanes[i] : max;
  return max;
}

inline float score_scale(const TreeAttentionArgs& args) {
  return 1.0f / __builtin_sqrtf(float(args.head_dim_D));
}

// scores <- q · kᵀ, unscaled.
template <typename Step>
void fill_scores(const Block& b) {
  const TreeAttentionArgs& args = b.args;
  b.for_each_span([&](int64_t row, int keys, int column) {
    multiply<Step>({b.q(), args.qkv_stride},
                   {args.qkv + row * args.qkv_stride + b.k_at(), args.qkv_stride, true}, b.scores + column,
                   score_stride(args), b.count, keys, args.head_dim_D, false);
  });
}

// One row of scores becomes probabilities; keys beyond `num` get zero. Returns log Σ exp.
float softmax_row(float* s, int num, int all, float scale) {
  Vec highest = splat(-3.4e38f);
  for (int j = 0; j + kLanes <= num; j += kLanes) highest = max(highest, load(s + j));
  float m = max_of(highest);
  for (int j = num / kLanes * kLanes; j < num; ++j) m = s[j] > m ? s[j] : m;
  const Vec scale_v = splat(scale), m_v = splat(m * scale);
  Vec sum{};
  for (int j = 0; j < num; j += kLanes) {
    const int count = smaller(kLanes, num - j);
    float kept[kLanes] = {};
    store_first(kept, count, exp(load_first(s + j, count) * scale_v - m_v));
    const Vec e = load(kept);
    store_first(s + j, count, e);
    sum = sum + e;
  }
  const float total = sum_of(sum);
  const Vec inverse = splat(1.0f / total);
  for (int j = 0; j < num; j += kLanes) {
    const int count = smaller(kLanes, num - j);
    store_first(s + j, count, load_first(s + j, count) * inverse);
  }
  for (int j = num; j < all; ++j) s[j] = 0;
  return m * scale + __builtin_logf(total);
}

template <typename Step>
void forward_block(const Block& b) {
  const TreeAttentionArgs& args = b.args;
  const int stride = score_stride(args), D = args.head_dim_D;
  fill_scores<Step>(b);
  for (int i = 0; i < b.count; ++i) {
    float* s = b.scores + i * stride;
    const int first = b.first_key(i);
    args.lse_TH[(b.row() + i) * args.lse_stride + b.h] =
        softmax_row(s + first, b.row_keys(i) - first, b.all_keys() - first, score_scale(args));
    for (int j = b.first_key(0); j < first; ++j) s[j] = 0;
  }
  bool add = false;
  b.for_each_span([&](int64_t row, int keys, int column) {
    multiply<Step>({b.scores + column, stride},
                   {args.qkv + row * args.qkv_stride + b.v_at(), args.qkv_stride},
                   args.o + b.row() * args.o_stride + b.q_at(), args.o_stride, b.count, D, keys, add);
    add = true;
  });
}

// scores <- P, d_scores <- dS, from q·kᵀ and do·vᵀ.
void backward_row(const Block& b, int i) {
  const TreeAttentionArgs& args = b.args;
  const int first = b.first_key(i), num = b.row_keys(i), all = b.all_keys(), D = args.head_dim_D;
  float *s = b.scores + i * score_stride(args), *d_s = b.d_scores + i * score_stride(args);
  const float *o = args.o + (b.row() + i) * args.o_stride + b.q_at(), *d_o = b.d_o() + i * args.d_o_stride;
  Vec dot{};
  for (int d = 0; d < D; d += kLanes) {
    const int count = smaller(kLanes, D - d);
    dot = fma(load_first(o + d, count), load_first(d_o + d, count), dot);
  }
  const Vec delta = splat(sum_of(dot)), scale = splat(score_scale(args));
  const Vec lse = splat(args.lse_TH[(b.row() + i) * args.lse_stride + b.h]);
  for (int j = first; j < num; j += kLanes) {
    const int count = smaller(kLanes, num - j);
    const Vec p = exp(load_first(s + j, count) * scale - lse);
    store_first(s + j, count, p);
    store_first(d_s + j, count, (load_first(d_s + j, count) - delta) * p * scale);
  }
  for (int j = b.first_key(0); j < first; ++j) s[j] = d_s[j] = 0;
  for (int j = num; j < all; ++j) s[j] = d_s[j] = 0;
}

template <typename Step>
void backward_block(const Block& b) {
  const TreeAttentionArgs& args = b.args;
  const int stride = score_stride(args), D = args.head_dim_D;
  fill_scores<Step>(b);
  b.for_each_span([&](int64_t row, int keys, int column) {
    multiply<Step>({b.d_o(), args.d_o_stride},
                   {args.qkv + row * args.qkv_stride + b.v_at(), args.qkv_stride, true}, b.d_scores + column,
                   stride, b.count, keys, D, false);
  });
  for (int i = 0; i < b.count; ++i) backward_row(b, i);
  float* d_q = args.d_qkv + b.row() * args.qkv_stride + b.q_at();
  bool add = false;
  b.for_each_span([&](int64_t row, int keys, int column) {
    const float* k = args.qkv + row * args.qkv_stride + b.k_at();
    float* d_row = args.d_qkv + row * args.qkv_stride;
    multiply<Step>({b.d_scores + column, stride}, {k, args.qkv_stride}, d_q, args.qkv_stride, b.count, D,
                   keys, add);
    multiply<Step>({b.d_scores + column, stride, true}, {b.q(), args.qkv_stride}, d_row + b.k_at(),
                   args.qkv_stride, keys, D, b.count, true);
    multiply<Step>({b.scores + column, stride, true}, {b.d_o(), args.d_o_stride}, d_row + b.v_at(),
                   args.qkv_stride, keys, D, b.count, true);
    add = true;
  });
}

template <typename Run>
void for_each_block(const TreeAttentionArgs& args, int64_t unit, float* scratch, Run run) {
  const int64_t tree = unit / args.num_heads_G;
  const int g = int(unit % args.num_heads_G), group = args.num_heads_H / args.num_heads_G;
  for (int s = args.tree_begin_1[tree]; s < args.tree_begin_1[tree + 1]; ++s) {
    const TreeSegment& segment = args.segments[s];
    int before = 0;
    for (int p = segment.parent; p >= 0; p = args.segments[p].parent) before += args.segments[p].num_rows;
    for (int first = 0; first < segment.num_rows; first += kQueries) {
      const int count = smaller(kQueries, segment.num_rows - first);
      for (int h = g * group; h < (g + 1) * group; ++h) {
        run(Block{args, segment, before, first, count, h, g, scratch,
                  scratch + kQueries * score_stride(args)});
      }
    }
  }
}

void clear_key_gradients(const TreeAttentionArgs& args, int64_t unit) {
  const int64_t tree = unit / args.num_heads_G;
  const int D = args.head_dim_D, g = int(unit % args.num_heads_G);
  for (int s = args.tree_begin_1[tree]; s < args.tree_begin_1[tree + 1]; ++s) {
    for (int r = 0; r < args.segments[s].num_rows; ++r) {
      float* row = args.d_qkv + (args.segments[s].first_row + r) * args.qkv_stride;
      __builtin_memset(row + int64_t(args.num_heads_H + g) * D, 0, sizeof(float) * D);
      __builtin_memset(row + int64_t(args.num_heads_H + args.num_heads_G + g) * D, 0, sizeof(float) * D);
    }
  }
}

size_t scratch_floats(const TreeAttentionArgs& args) { return 2 * size_t(kQueries) * score_stride(args); }

void forward(const TreeAttentionArgs& args, int64_t unit, float* scratch) {
  const bool bf16 = args.compute == DType::kBF16;
  for_each_block(args, unit, scratch,
                 [&](const Block& b) { bf16 ? forward_block<StepBf16>(b) : forward_block<StepF32>(b); });
}

void backward(const TreeAttentionArgs& args, int64_t unit, float* scratch) {
  clear_key_gradients(args, unit);
  const bool bf16 = args.compute == DType::kBF16;
  for_each_block(args, unit, scratch,
                 [&](const Block& b) { bf16 ? backward_block<StepBf16>(b) : backward_block<StepF32>(b); });
}

}  // namespace

extern const TreeAttentionKernel tree_attention;
const TreeAttentionKernel tree_attention = {scratch_floats, forward, backward};

}  // namespace mmprm::MMPRM_ISA
