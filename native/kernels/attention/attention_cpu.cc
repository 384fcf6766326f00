// attention, one instruction set: what a unit is, which rows share a chunk, softmax and merge.
//
// A row is one query head of one token. A unit is a tile of rows of one key/value head; it walks the chunks
// from left to right, so pages are read once for all its rows. In each chunk rows with equal pages form a
// class, and a class is worked off in blocks of kBlockRows rows whose scores stay in L1. Behind a window, chunks that no
// row of the tile sees and pages that no row of the block sees are left out.
#include "kernels/attention/attention.h"
#include "kernels/attention/attention_micro.h"

namespace mmprm::MMPRM_ISA {
namespace {

constexpr int kChunkPages = kChunkTokens / kPageTokens;
constexpr int kMaxTileRows = 126;      // 21 blocks: enough to hide the reading of a chunk behind arithmetic
constexpr int kMinTileRows = 24;       // fewer would read a chunk from L2 faster than it can be used
constexpr int kMinUnits = 16;          // enough to share out among threads
constexpr int kMaxTileFloats = 16384;  // of o, on the stack
constexpr float kLog2E = 1.44269504f;

inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int round_up(int64_t a, int b) { return int(divide_up(a, b) * b); }
inline int smaller(int a, int b) { return a < b ? a : b; }
inline int larger(int a, int b) { return a > b ? a : b; }

struct WorkPlan {
  int heads_per_G;
  int64_t rows;  // of one key/value head
  int tile_rows;
  int64_t tiles;

  explicit WorkPlan(const AttentionArgs& args)
      : heads_per_G(args.num_heads_H / args.kv.num_heads_G), rows(int64_t(args.T) * heads_per_G) {
    const int o_stride = round_up(args.kv.head_dim_D, kLanes);
    const int most = smaller(kMaxTileRows, kMaxTileFloats / o_stride / kBlockRows * kBlockRows);
    int64_t wanted = divide_up(rows * args.kv.num_heads_G, kMinUnits);
    if (wanted < kMinTileRows) wanted = kMinTileRows;
    if (wanted > most) wanted = divide_up(rows, divide_up(rows, most));
    tile_rows = smaller(round_up(wanted, kBlockRows), most);
    tiles = divide_up(rows, tile_rows);
  }
};

// The tile's work on one chunk at a time.
template <typename Dot>
class Tile {
 public:
  Tile(const AttentionArgs& args, const WorkPlan& plan, int g, int64_t first_row, int num_rows)
      : args_(args),
        R_(plan.heads_per_G),
        D_(args.kv.head_dim_D),
        o_stride_(round_up(D_, kLanes)),
        g_(g),
        first_row_(first_row),
        num_rows_(num_rows) {}

  void run() {
    int longest = 0, first = first_key(0);
    for (int r = 0; r < num_rows_; ++r) {
      longest = larger(longest, keys_of(r).num_keys);
      first = smaller(first, first_key(r));
    }
    for (int chunk = first / kChunkTokens; chunk * kChunkTokens < longest; ++chunk) attend_chunk(chunk);
    for (int r = 0; r < num_rows_; ++r) write_row(r);
  }

 private:
  int64_t token_of(int r) const { return (first_row_ + r) / R_; }
  const RowKeys& keys_of(int r) const { return args_.rows_T[token_of(r)]; }
  int64_t element_of(int64_t row, int r) const {
    return row * args_.stride + (g_ * R_ + (first_row_ + r) % R_) * D_;
  }
  const std::byte* q_of(int r) const {
    const int64_t token = token_of(r), row = args_.q_rows ? args_.q_rows[token] : token;
    return static_cast<const std::byte*>(args_.q) + element_of(row, r) * (kStepBytes / Dot::kElementsPerStep);
  }
  int first_key(int r) const { return args_.window > 0 ? larger(0, keys_of(r).num_keys - args_.window) : 0; }
  // A row sees slots [hidden, visible) of a chunk; none where hidden reaches the chunk's end.
  int visible(int r, int chunk) const {
    return smaller(keys_of(r).num_keys - chunk * kChunkTokens, kChunkTokens);
  }
  int hidden(int r, int chunk) const { return larger(0, first_key(r) - chunk * kChunkTokens); }
  bool sees(int r, int chunk) const { return visible(r, chunk) > 0 && hidden(r, chunk) < kChunkTokens; }
  bool begins(int r, int chunk) const { return first_key(r) / kChunkTokens == chunk; }

  // Splits the rows that see the chunk into classes of equal pages, for all of which it is the first, or for none.
  void attend_chunk(int chunk) {
    int16_t left[kMaxTileRows], same[kMaxTileRows];
    int num_left = 0;
    for (int r = 0; r < num_rows_; ++r) {
      if (sees(r, chunk)) left[num_left++] = int16_t(r);
    }
    while (num_left > 0) {
      int num_same = 0, num_other = 0, longest = left[0];
      for (int i = 0; i < num_left; ++i) {
        if (begins(longest, chunk) != begins(left[i], chunk) || !pages_agree(longest, left[i], chunk)) {
          left[num_other++] = left[i];
          continue;
        }
        same[num_same++] = left[i];
        if (keys_of(left[i]).num_keys > keys_of(longest).num_keys) longest = left[i];
      }
      attend_class(same, num_same, longest, chunk);
      num_left = num_other;
    }
  }

  // Whether two rows have the same pages in a chunk, as far as both reach.
  bool pages_agree(int a, int b, int chunk) const {
    const RowKeys &x = keys_of(a), &y = keys_of(b);
    if (x.pages == y.pages) return true;
    const int pages = int(divide_up(smaller(visible(a, chunk), visible(b, chunk)), kPageTokens));
    for (int p = chunk * kChunkPages; p < chunk * kChunkPages + pages; ++p) {
      if (x.pages[p] != y.pages[p]) return false;
    }
    return true;
  }

  void attend_class(const int16_t* rows, int num_rows, int longest, int chunk) {
    const int64_t half_bytes = int64_t(kPageTokens) * D_ * kStepBytes / Dot::kElementsPerStep;
    const int num_pages = int(divide_up(visible(longest, chunk), kPageTokens));
    const std::byte *keys[kChunkPages], *values[kChunkPages];
    for (int p = 0; p < num_pages; ++p) {
      const int64_t page = keys_of(longest).pages[chunk * kChunkPages + p];
      keys[p] = args_.kv.data + (page * args_.kv.num_heads_G + g_) * 2 * half_bytes;
      values[p] = keys[p] + half_bytes;
    }
    const int blocks = int(divide_up(num_rows, kBlockRows));
    for (int b = 0; b < blocks; ++b) {  // of sizes that differ by one at most
      const int begin = num_rows * b / blocks, end = num_rows * (b + 1) / blocks;
      attend_block(rows + begin, end - begin, keys, values, chunk);
    }
  }

  void attend_block(const int16_t* rows, int MR, const std::byte* const* keys, const std::byte* const* values,
                    int chunk) {
    alignas(64) float scores[kBlockRows * kChunkTokens];
    const std::byte* q[kBlockRows];
    float* o[kBlockRows];
    int most_visible = 0, least_hidden = kChunkTokens;
    for (int m = 0; m < MR; ++m) {
      q[m] = q_of(rows[m]);
      o[m] = o_ + rows[m] * o_stride_;
      most_visible = larger(most_visible, visible(rows[m], chunk));
      least_hidden = smaller(least_hidden, hidden(rows[m], chunk));
    }
    const int first_page = least_hidden / kPageTokens, num_pages = int(divide_up(most_visible, kPageTokens));
    const int begin = first_page * kPageTokens, end = num_pages * kPageTokens;
    for (int p = first_page; p < num_pages; p += kMaxPages) {
      const int pages = smaller(num_pages - p, kMaxPages);
      kScoreTile<Dot>[MR - 1][pages - 1](q, keys + p, D_ / Dot::kElementsPerStep, scores + p * kPageTokens);
    }
    // WHY all maxima first: one row's reduction hides behind the loads of the next.
    float chunk_max[kBlockRows];
    for (int m = 0; m < MR; ++m) {
      float* row = scores + m * kChunkTokens;
      hide(row, begin, hidden(rows[m], chunk));
      hide(row, visible(rows[m], chunk), end);
      chunk_max[m] = highest_score(row, begin, end);
    }
    const bool is_first = begins(rows[0], chunk);
    MergeFactors merge[kBlockRows];
    for (int m = 0; m < MR; ++m) {
      const float chunk_sum = weigh(scores + m * kChunkTokens, begin, end, chunk_max[m]);
      merge[m] = is_first ? first_chunk(rows[m], chunk_max[m], chunk_sum)
                          : merge_chunk(rows[m], chunk_max[m], chunk_sum);
    }
    const ValueArgs value_args{
        values, first_page, num_pages, int64_t(D_) * kStepBytes, scores, o, is_first ? nullptr : merge};
    const int vectors = o_stride_ / kLanes, groups = int(divide_up(vectors, kMaxVectors));
    for (int i = 0; i < groups; ++i) {
      const int from = vectors * i / groups, to = vectors * (i + 1) / groups;
      kValueTile<Dot>[MR - 1][to - from - 1](value_args, from * kLanes,
                                             smaller(D_ - (to - 1) * kLanes, kLanes));
    }
  }

  // Scores that the row does not see are made to weigh zero.
  // WHY not infinity: its distance to the maximum has to be a number. The weight is exactly zero all the same.
  static void hide(float* scores, int begin, int end) {
    for (int i = begin; i < end; ++i) scores[i] = -1e37f;
  }

  // In powers of two, as all maxima here: log2(e) · the largest score.
  static float highest_score(const float* scores, int begin, int end) {
    Vec highest = load(scores + begin);
    for (int i = begin + kLanes; i < end; i += kLanes) highest = max(highest, load(scores + i));
    return max_of_lanes(highest) * kLog2E;
  }

  // Scores become weights 2^(log2(e) · score - max) in their place. Returns their sum.
  static float weigh(float* scores, int begin, int end, float chunk_max) {
    const Vec origin = splat(-chunk_max), log2e = splat(kLog2E);
    Vec sums{};
    for (int i = begin; i < end; i += kLanes) {
      const Vec weights = exp2(fma(load(scores + i), log2e, origin));
      sums = sums + weights;
      Dot::store_weights(scores, i, weights);
    }
    return sum_of_lanes(sums);
  }

  MergeFactors first_chunk(int row, float chunk_max, float chunk_sum) {
    max_[row] = chunk_max;
    sum_[row] = chunk_sum;
    return {0.0f, 1.0f};
  }

  MergeFactors merge_chunk(int row, float chunk_max, float chunk_sum) {
    const float highest = chunk_max > max_[row] ? chunk_max : max_[row];
    alignas(64) float lanes[kLanes] = {max_[row] - highest, chunk_max - highest};
    store(lanes, exp2(load(lanes)));
    max_[row] = highest;
    sum_[row] = __builtin_fmaf(chunk_sum, lanes[1], sum_[row] * lanes[0]);
    return {lanes[0], lanes[1]};
  }

  void write_row(int r) const {
    const Vec scale = splat(1.0f / sum_[r]);
    for_vectors(D_, [&](int d, int lanes) {
      // Adding zero makes a negative zero positive: whether one arises may depend
      // on slots that weigh nothing.
      const Vec o = load(o_ + r * o_stride_ + d) * scale + Vec{};
      store_as(args_.o, Dot::kDType, element_of(token_of(r), r) + d, lanes, o);
    });
  }

  const AttentionArgs& args_;
  const int R_, D_, o_stride_, g_;
  const int64_t first_row_;
  const int num_rows_;
  float max_[kMaxTileRows], sum_[kMaxTileRows];
  alignas(64) float o_[kMaxTileFloats];
};

int64_t units(const AttentionArgs& args) { return WorkPlan(args).tiles * args.kv.num_heads_G; }

void run(const AttentionArgs& args, int64_t unit_begin, int64_t unit_end) {
  const WorkPlan plan(args);
  for (int64_t unit = unit_begin; unit < unit_end; ++unit) {
    // Neighbours read the same keys; of a causal prefill the long tiles come first,
    // so that threads end together.
    const int64_t tile = plan.tiles - 1 - unit % plan.tiles, first_row = tile * plan.tile_rows;
    const int num_rows = int(plan.rows - first_row < plan.tile_rows ? plan.rows - first_row : plan.tile_rows);
    const int g = int(unit / plan.tiles);
#if defined(MMPRM_ISA_AVX512BF16)
    if (args.dtype == DType::kBF16) {
      Tile<DotBf16>(args, plan, g, first_row, num_rows).run();
      continue;
    }
#endif
    Tile<DotF32>(args, plan, g, first_row, num_rows).run();
  }
}

}  // namespace

extern const AttentionKernel attention;
const AttentionKernel attention = {units, run};

}  // namespace mmprm::MMPRM_ISA
