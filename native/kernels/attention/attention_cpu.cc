// attention, wide: queries that look at the same pages of a chunk go through it together, as one small
// product for the scores and one for the values, so that siblings and the heads of a group share every load
// of a page.
//
//   unit: (key/value head, up to kMaxQueries query rows); per chunk of 256 keys and run of rows with equal
//   pages: S = q·K^T -> p = exp(S - max) -> (max, sum, p·V) of the chunk, merged into the row's state left to
//   right
//
// INVARIANT: a query's numbers in a chunk are computed in one order whatever queries stand beside it; keys it
// does not see weigh exactly zero.
#include "kernels/attention/attention.h"
#include "kernels/gemm/gemm_simd.h"

namespace mmprm::MMPRM_ISA {
namespace {

constexpr int kMaxQueries = 32;
constexpr int kMaxHeadDim = 256;
constexpr int kPageVecs = kPageTokens / kLanes;
#if defined(MMPRM_ISA_AVX2)
constexpr int kTileQueries = 2, kTileVecs = 4;
#else
constexpr int kTileQueries = 4, kTileVecs = 4;
#endif

#if defined(MMPRM_ISA_AVX512BF16)
constexpr bool kHasBf16 = true;
inline Vec dot_pairs(Vec acc, Vec pairs, uint32_t pair) {
  return _mm512_dpbf16_ps(acc, (__m512bh)pairs, (__m512bh)_mm512_set1_epi32(int(pair)));
}
#else
constexpr bool kHasBf16 = false;
inline Vec dot_pairs(Vec acc, Vec, uint32_t) { return acc; }
#endif

struct Query {
  const std::byte* q;  // D elements
  std::byte* o;        // D elements
  int num_keys;
};

// Working memory of one unit; one per thread, reused.
struct Scratch {
  alignas(64) float scores[kMaxQueries][kChunkTokens];
  alignas(64) uint16_t weights_bf16[kMaxQueries][kChunkTokens];
  alignas(64) float chunk_o[kMaxQueries][kMaxHeadDim];
  alignas(64) float o[kMaxQueries][kMaxHeadDim];
  float max[kMaxQueries], sum[kMaxQueries], chunk_max[kMaxQueries], chunk_sum[kMaxQueries];
  Query queries[kMaxQueries];
  int rows[kMaxQueries];  // row of each query
};
thread_local Scratch scratch;

inline float element(const void* p, int i) { return static_cast<const float*>(p)[i]; }
inline uint32_t pair_at(const void* p, int i) {
  uint32_t pair;
  std::memcpy(&pair, static_cast<const char*>(p) + 4 * i, 4);
  return pair;
}

// Scores of M queries against V vectors of keys: keys[v] is the K block's column of lanes, one step per d
// (F32) or pair of d (BF16).
template <bool kBf16, int M, int V>
inline void score_tile(const Query* queries, const float* const* keys, int steps, float* scores, int at) {
  Vec acc[M][V] = {};
  for (int d = 0; d < steps; ++d) {
    Vec k[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) k[v] = load(keys[v] + d * kPageTokens, Vec{});
#pragma GCC unroll 4
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        acc[m][v] = kBf16 ? dot_pairs(acc[m][v], k[v], pair_at(queries[m].q, d))
                          : fma(splat(element(queries[m].q, d), Vec{}), k[v], acc[m][v]);
      }
    }
  }
  for (int m = 0; m < M; ++m) {
    for (int v = 0; v < V; ++v) store(scores + m * kChunkTokens + at + v * kLanes, acc[m][v]);
  }
}

template <bool kBf16, int V>
inline void score_queries(const Query* queries, int count, const float* const* keys, int steps, float* scores,
                          int at) {
  int m = 0;
  for (; m + kTileQueries <= count; m += kTileQueries) {
    score_tile<kBf16, kTileQueries, V>(queries + m, keys, steps, scores + m * kChunkTokens, at);
  }
  for (; m < count; ++m) score_tile<kBf16, 1, V>(queries + m, keys, steps, scores + m * kChunkTokens, at);
}

template <bool kBf16>
void score_chunk(const KvPages& kv, int head, const int32_t* pages, int num_pages, int first, int count) {
  const int steps = kBf16 ? kv.head_dim_D / 2 : kv.head_dim_D;
  const int vecs = num_pages * kPageVecs;
  float* scores = scratch.scores[first];
  const float* keys[kTileVecs];
  int v = 0;
  const auto column = [&](int i) {
    return reinterpret_cast<const float*>(kv.keys(pages[i / kPageVecs], head)) + i % kPageVecs * kLanes;
  };
  for (; v + kTileVecs <= vecs; v += kTileVecs) {
    for (int i = 0; i < kTileVecs; ++i) keys[i] = column(v + i);
    score_queries<kBf16, kTileVecs>(scratch.queries + first, count, keys, steps, scores, v * kLanes);
  }
  for (; v < vecs; ++v) {
    keys[0] = column(v);
    score_queries<kBf16, 1>(scratch.queries + first, count, keys, steps, scores, v * kLanes);
  }
}

inline float largest_lane(Vec v) {
  float lanes[kLanes];
  store(lanes, v);
  float best = lanes[0];
  for (int i = 1; i < kLanes; ++i) best = lanes[i] > best ? lanes[i] : best;
  return best;
}

inline float sum_lanes(Vec v) {
  float lanes[kLanes];
  store(lanes, v);
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

// Scores of one query -> weights, over `slots` of which the first `keys` count; the rest becomes zero.
template <bool kBf16>
void weigh(int query, int keys, int slots) {
  float* s = scratch.scores[query];
  for (int i = keys; i < slots; ++i) s[i] = -__builtin_inff();
  Vec best = load(s, Vec{});
  for (int i = kLanes; i < slots; i += kLanes) best = at_least(load(s + i, Vec{}), best);
  const float max = largest_lane(best);
  const Vec shift = splat(max, Vec{});
  Vec sum{};
  for (int i = 0; i < slots; i += kLanes) {
    const int counted = keys - i < 0 ? 0 : keys - i < kLanes ? keys - i : kLanes;
    float lanes[kLanes];
    Vec p = exp(load(s + i, Vec{}) - shift);
    if (counted < kLanes) {
      store(lanes, p);
      for (int l = counted; l < kLanes; ++l) lanes[l] = 0;
      p = load(lanes, Vec{});
    }
    sum = sum + p;
    if (kBf16) {
      store_first_bf16(scratch.weights_bf16[query] + i, kLanes, p);
    } else {
      store(s + i, p);
    }
  }
  scratch.chunk_max[query] = max;
  scratch.chunk_sum[query] = sum_lanes(sum);
}

// chunk_o of M queries, V vectors of the head's elements from `d` on, over all slots of the pages.
template <bool kBf16, int M, int V>
inline void value_tile(const KvPages& kv, int head, const int32_t* pages, int num_pages, int query, int d,
                       int last) {
  const int D = kv.head_dim_D;
  constexpr int kStep = kBf16 ? 2 : 1;  // slots that one load holds
  Vec acc[M][V] = {};
  for (int page = 0; page < num_pages; ++page) {
    const float* values = reinterpret_cast<const float*>(kv.values(pages[page], head)) + d;
    for (int slot = 0; slot < kPageTokens / kStep; ++slot, values += D) {
      Vec v[V];
#pragma GCC unroll 4
      for (int i = 0; i < V; ++i) {
        v[i] = i + 1 < V ? load(values + i * kLanes, Vec{}) : load_first(values + i * kLanes, last, Vec{});
      }
      const int at = page * kPageTokens + slot * kStep;
#pragma GCC unroll 4
      for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
        for (int i = 0; i < V; ++i) {
          acc[m][i] = kBf16 ? dot_pairs(acc[m][i], v[i], pair_at(scratch.weights_bf16[query + m] + at, 0))
                            : fma(splat(scratch.scores[query + m][at], Vec{}), v[i], acc[m][i]);
        }
      }
    }
  }
  for (int m = 0; m < M; ++m) {
    for (int i = 0; i < V; ++i) {
      store_first(scratch.chunk_o[query + m] + d + i * kLanes, i + 1 < V ? kLanes : last, acc[m][i]);
    }
  }
}

template <bool kBf16, int V>
inline void value_queries(const KvPages& kv, int head, const int32_t* pages, int num_pages, int first,
                          int count, int d, int last) {
  int m = 0;
  for (; m + kTileQueries <= count; m += kTileQueries) {
    value_tile<kBf16, kTileQueries, V>(kv, head, pages, num_pages, first + m, d, last);
  }
  for (; m < count; ++m) value_tile<kBf16, 1, V>(kv, head, pages, num_pages, first + m, d, last);
}

template <bool kBf16>
void value_chunk(const KvPages& kv, int head, const int32_t* pages, int num_pages, int first, int count) {
  const int D = kv.head_dim_D;
  int d = 0;
  for (; d + kTileVecs * kLanes <= D; d += kTileVecs * kLanes) {
    value_queries<kBf16, kTileVecs>(kv, head, pages, num_pages, first, count, d, kLanes);
  }
  for (; d < D; d += kLanes) {
    value_queries<kBf16, 1>(kv, head, pages, num_pages, first, count, d, D - d < kLanes ? D - d : kLanes);
  }
}

inline float exp_of(float x) {
  float lanes[kLanes];
  store(lanes, exp(splat(x, Vec{})));
  return lanes[0];
}

// (max, sum, o) of the row so far with those of the next chunk.
void merge(int query, int D, bool is_first) {
  float* o = scratch.o[query];
  const float* c = scratch.chunk_o[query];
  if (is_first) {
    std::memcpy(o, c, D * sizeof(float));
    scratch.max[query] = scratch.chunk_max[query];
    scratch.sum[query] = scratch.chunk_sum[query];
    return;
  }
  const float old_max = scratch.max[query], new_max = scratch.chunk_max[query];
  const float max = old_max > new_max ? old_max : new_max;
  const float old_scale = exp_of(old_max - max), new_scale = exp_of(new_max - max);
  for (int d = 0; d < D; d += kLanes) {
    const int lanes = D - d < kLanes ? D - d : kLanes;
    const Vec scaled = load_first(o + d, lanes, Vec{}) * splat(old_scale, Vec{});
    store_first(o + d, lanes, fma(load_first(c + d, lanes, Vec{}), splat(new_scale, Vec{}), scaled));
  }
  scratch.sum[query] = scratch.sum[query] * old_scale + scratch.chunk_sum[query] * new_scale;
  scratch.max[query] = max;
}

template <bool kBf16>
void finish(int query, int D) {
  const Vec scale = splat(1.0f / scratch.sum[query], Vec{});
  for (int d = 0; d < D; d += kLanes) {
    const int lanes = D - d < kLanes ? D - d : kLanes;
    const Vec o = load_first(scratch.o[query] + d, lanes, Vec{}) * scale;
    if (kBf16) {
      store_first_bf16(reinterpret_cast<uint16_t*>(scratch.queries[query].o) + d, lanes, o);
    } else {
      store_first(reinterpret_cast<float*>(scratch.queries[query].o) + d, lanes, o);
    }
  }
}

inline int pages_in_chunk(const RowKeys& row, int chunk) {
  const int pages = (row.num_keys + kPageTokens - 1) / kPageTokens - chunk * (kChunkTokens / kPageTokens);
  return pages < 0 ? 0 : pages < kChunkTokens / kPageTokens ? pages : kChunkTokens / kPageTokens;
}

// Whether two rows have the same pages in a chunk, as far as both reach.
inline bool same_pages(const RowKeys& a, const RowKeys& b, int chunk) {
  if (a.pages == b.pages) return true;
  const int na = pages_in_chunk(a, chunk), nb = pages_in_chunk(b, chunk);
  const int at = chunk * (kChunkTokens / kPageTokens);
  return std::memcmp(a.pages + at, b.pages + at, (na < nb ? na : nb) * sizeof(int32_t)) == 0;
}

template <bool kBf16>
void run_chunk(const AttentionArgs& args, int head, int chunk, int first, int count, const RowKeys& longest) {
  const int32_t* pages = longest.pages + chunk * (kChunkTokens / kPageTokens);
  const int num_pages = pages_in_chunk(longest, chunk), D = args.kv.head_dim_D;
  score_chunk<kBf16>(args.kv, head, pages, num_pages, first, count);
  for (int i = first; i < first + count; ++i) {
    const int keys = scratch.queries[i].num_keys - chunk * kChunkTokens;
    weigh<kBf16>(i, keys < kChunkTokens ? keys : kChunkTokens, num_pages * kPageTokens);
  }
  value_chunk<kBf16>(args.kv, head, pages, num_pages, first, count);
  for (int i = first; i < first + count; ++i) merge(i, D, chunk == 0);
}

// Queries [0, count) of scratch, one key/value head.
template <bool kBf16>
void run_queries(const AttentionArgs& args, int head, int count) {
  int most_keys = 0;
  for (int i = 0; i < count; ++i)
    most_keys = scratch.queries[i].num_keys > most_keys ? scratch.queries[i].num_keys : most_keys;
  for (int chunk = 0; chunk * kChunkTokens < most_keys; ++chunk) {
    for (int i = 0; i < count;) {
      if (scratch.queries[i].num_keys <= chunk * kChunkTokens) {
        ++i;
        continue;
      }
      const RowKeys* longest = &args.rows_T[scratch.rows[i]];
      int end = i + 1;
      for (; end < count && scratch.queries[end].num_keys > chunk * kChunkTokens; ++end) {
        const RowKeys& row = args.rows_T[scratch.rows[end]];
        if (!same_pages(*longest, row, chunk)) break;
        if (row.num_keys > longest->num_keys) longest = &row;
      }
      run_chunk<kBf16>(args, head, chunk, i, end - i, *longest);
      i = end;
    }
  }
  for (int i = 0; i < count; ++i) finish<kBf16>(i, args.kv.head_dim_D);
}

// Heads of a group that fit into one unit, and rows beside one another.
struct Blocks {
  int heads, slices, rows, row_blocks;
};

Blocks blocks_of(const AttentionArgs& args) {
  const int group = args.num_heads_H / args.kv.num_heads_G;
  const int heads = group < kMaxQueries ? group : kMaxQueries;
  const int rows = kMaxQueries / heads;
  return {heads, (group + heads - 1) / heads, rows, (args.T + rows - 1) / rows};
}

int64_t units(const AttentionArgs& args) {
  const Blocks b = blocks_of(args);
  return int64_t(args.kv.num_heads_G) * b.slices * b.row_blocks;
}

void run_unit(const AttentionArgs& args, const Blocks& b, int64_t unit) {
  const int D = args.kv.head_dim_D, group = args.num_heads_H / args.kv.num_heads_G;
  const int head = int(unit % args.kv.num_heads_G);
  const int slice = int(unit / args.kv.num_heads_G % b.slices);
  const int block = int(unit / args.kv.num_heads_G / b.slices);
  const int first_head = slice * b.heads;
  const int heads = group - first_head < b.heads ? group - first_head : b.heads;
  const int first_row = block * b.rows;
  const int rows = args.T - first_row < b.rows ? args.T - first_row : b.rows;
  const int64_t size = int64_t(dtype_bytes(args.dtype));
  int count = 0;
  for (int t = first_row; t < first_row + rows; ++t) {
    const int64_t q_row = args.q_rows ? args.q_rows[t] : t;
    for (int h = 0; h < heads; ++h, ++count) {
      const int64_t column = int64_t(head * group + first_head + h) * D;
      scratch.queries[count] = {static_cast<const std::byte*>(args.q) + (q_row * args.stride + column) * size,
                                static_cast<std::byte*>(args.o) + (int64_t(t) * args.stride + column) * size,
                                args.rows_T[t].num_keys};
      scratch.rows[count] = t;
    }
  }
  if (kHasBf16 && args.dtype == DType::kBF16) {
    run_queries<kHasBf16>(args, head, count);
  } else {
    run_queries<false>(args, head, count);
  }
}

void run(const AttentionArgs& args, int64_t unit_begin, int64_t unit_end) {
  const Blocks b = blocks_of(args);
  for (int64_t unit = unit_begin; unit < unit_end; ++unit) run_unit(args, b, unit);
}

}  // namespace

extern const AttentionKernel attention;
const AttentionKernel attention = {units, run};

}  // namespace mmprm::MMPRM_ISA
