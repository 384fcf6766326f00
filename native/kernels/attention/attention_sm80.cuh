// attention on BF16 pages by mma.sync: four warps of 16 query rows share the keys that cp.async brings, 64 at a time.
#pragma once
#include "kernels/attention/attention_merge.cuh"

namespace mmprm::cuda {

template <int kD_>
struct AttendShape {
  static constexpr int kD = kD_, kTileKeys = 64, kStages = 4, kThreads = kAttendRows * 2;
  static constexpr int kRow = kD + 8;  // a padded row: ldmatrix meets no bank twice

  struct Tile {
    bf16 q[kAttendRows][kRow];
    bf16 keys[kStages][kTileKeys][kRow];  // or values
  };
};

// The tiles of an item's chunks in the order in which they are used: keys, their values, the next keys.
template <typename Shape>
class Feed {
 public:
  __device__ Feed(const Attend& a, const AttendItem& item, int g, typename Shape::Tile& tile)
      : a_(a),
        tile_(tile),
        pages_(a.pages_list + a.keys_T[item.longest].first),
        num_keys_(a.keys_T[item.longest].num_keys),
        g_(g),
        chunk_(item.first_chunk),
        end_(item.first_chunk + item.num_chunks) {}

  __device__ int tiles(int chunk) const {
    const int left = num_keys_ - chunk * kChunkTokens;
    return ((left < kChunkTokens ? left : kChunkTokens) + Shape::kTileKeys - 1) / Shape::kTileKeys;
  }

  // Begins to fetch the next tile, if there is one; always closes a group of copies.
  __device__ void fetch() {
    if (chunk_ < end_) {
      copy_tile();
      half_ ^= 1;
      if (half_ == 0 && ++step_ == tiles(chunk_)) step_ = 0, ++chunk_;
      if (++stage_ == Shape::kStages) stage_ = 0;
    }
    copy_commit();
  }

  // The next tile in use, once all threads are done with the one before.
  __device__ const bf16 (*next())[Shape::kRow] {
    copy_wait<Shape::kStages - 2>();
    __syncthreads();
    fetch();
    const int stage = used_;
    if (++used_ == Shape::kStages) used_ = 0;
    return tile_.keys[stage];
  }

 private:
  __device__ void copy_tile() {
    constexpr int kParts = Shape::kD / 8;
    const int first = chunk_ * kChunkTokens + step_ * Shape::kTileKeys;
    for (int i = threadIdx.x; i < Shape::kTileKeys * kParts; i += Shape::kThreads) {
      const int key = i / kParts, part = i % kParts, page = (first + key) / kPageTokens;
      const bool inside = page * kPageTokens < num_keys_;
      const bf16* from = page_half<const bf16>(a_.pages, a_.layer, inside ? pages_[page] : 0, g_, half_);
      copy_async16(&tile_.keys[stage_][key][part * 8], from + key % kPageTokens * Shape::kD + part * 8,
                   inside);
    }
  }

  const Attend& a_;
  typename Shape::Tile& tile_;
  const int32_t* pages_;
  int num_keys_, g_, chunk_, end_, step_ = 0, half_ = 0, stage_ = 0, used_ = 0;
};

// What a thread knows of its two query rows: row lane / 4 of its warp, and the one 8 below.
struct QueryRow {
  AttendRow at;
  int num_keys = 0;  // 0: there is no such row
  int head = 0;

  __device__ QueryRow(const Attend& a, const AttendItem& item, int g, int p) {
    const int i = p / a.heads_per_G;
    if (i >= item.num_rows) return;
    at = a.work.rows[item.first_row + i];
    num_keys = a.keys_T[at.row].num_keys;
    head = g * a.heads_per_G + p % a.heads_per_G;
  }
  __device__ int visible(int chunk) const { return num_keys - chunk * kChunkTokens; }
};

template <typename Shape>
__device__ inline void load_queries(const Attend& a, const AttendItem& item, int g,
                                    typename Shape::Tile& tile) {
  const bf16* q = static_cast<const bf16*>(a.q);
  const int D = a.pages.head_dim_D;
  const bool vectors = D % 8 == 0 && a.q_stride % 8 == 0;
  for (int i = threadIdx.x; i < kAttendRows * Shape::kD / 8; i += Shape::kThreads) {
    const int p = i / (Shape::kD / 8), d = i % (Shape::kD / 8) * 8, token = p / a.heads_per_G;
    uint4 eight{0, 0, 0, 0};
    if (token < item.num_rows) {
      const int64_t at = int64_t(a.work.rows[item.first_row + token].row) * a.q_stride +
                         (g * a.heads_per_G + p % a.heads_per_G) * D + d;
      if (vectors) {
        if (d < D) eight = *reinterpret_cast<const uint4*>(q + at);
      } else {
        uint32_t pairs[4] = {};
#pragma unroll
        for (int j = 0; j < 8; ++j) {
          if (d + j < D) pairs[j / 2] |= uint32_t(q[at + j]) << (j & 1 ? 16 : 0);
        }
        eight = uint4{pairs[0], pairs[1], pairs[2], pairs[3]};
      }
    }
    *reinterpret_cast<uint4*>(&tile.q[p][d]) = eight;
  }
}

// What a thread has of its two rows in one chunk so far. Maxima in powers of two; `sum` is the thread's own columns'.
template <typename Shape>
struct ChunkState {
  float o[Shape::kD / 8][4] = {};
  float max[2] = {}, sum[2] = {};
};

// Scores of 16 query rows and one tile of keys: s[n] is 8 keys.
template <typename Shape>
__device__ inline void multiply_keys(const bf16 (*q)[Shape::kRow], const bf16 (*keys)[Shape::kRow],
                                     float (&s)[Shape::kTileKeys / 8][4]) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int d = 0; d < Shape::kD; d += 16) {
    uint32_t a[4];
    load_matrix4(a, &q[lane % 16][d + lane / 16 * 8]);
#pragma unroll
    for (int n = 0; n < Shape::kTileKeys; n += 16) {
      uint32_t b[4];
      load_matrix4(b, &keys[n + lane / 16 * 8 + lane % 8][d + lane / 8 % 2 * 8]);
      mma(s[n / 8], a, b[0], b[1]);
      mma(s[n / 8 + 1], a, b[2], b[3]);
    }
  }
}

// Scores become weights, rounded to bf16, in pairs; what the chunk has so far is scaled to the new maximum. A thread has
// columns 8 n + 2 (lane % 4) + {0, 1} of both its rows, of which `visible` count. The sum takes weights unrounded.
template <typename Shape>
__device__ inline void weigh(float (&s)[Shape::kTileKeys / 8][4], const int (&visible)[2], bool first_tile,
                             uint32_t (&weights)[Shape::kTileKeys / 8][2], ChunkState<Shape>& state) {
  constexpr int kColumns = Shape::kTileKeys / 8;
  const int first = threadIdx.x % 4 * 2;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float highest = kUnseen;
#pragma unroll
    for (int n = 0; n < kColumns; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float& score = s[n][2 * r + i];
        if (n * 8 + first + i >= visible[r]) score = kUnseen;
        highest = score > highest ? score : highest;
      }
    }
#pragma unroll
    for (int x = 1; x <= 2; x *= 2) {
      const float other = __shfl_xor_sync(~0u, highest, x);
      highest = other > highest ? other : highest;
    }
    // A row that sees none of the chunk's keys gets weights of zero: any maximum does.
    const float tile_max = first_tile && visible[r] <= 0 ? 0.0f : highest * kLog2E;
    const float max = first_tile || tile_max > state.max[r] ? tile_max : state.max[r];
    const float old = first_tile ? 1.0f : exp2_nonpositive(state.max[r] - max);
    float sum = state.sum[r] * old;
#pragma unroll
    for (int n = 0; n < kColumns; ++n) {
      const float low = exp2_nonpositive(__fmaf_rn(s[n][2 * r], kLog2E, -max));
      const float high = exp2_nonpositive(__fmaf_rn(s[n][2 * r + 1], kLog2E, -max));
      sum = sum + low;
      sum = sum + high;
      weights[n][r] = pack_bf16(low, high);
    }
#pragma unroll
    for (int n = 0; n < Shape::kD / 8; ++n) {
      state.o[n][2 * r] = state.o[n][2 * r] * old;
      state.o[n][2 * r + 1] = state.o[n][2 * r + 1] * old;
    }
    state.max[r] = max;
    state.sum[r] = sum;
  }
}

// o += weights of a tile of keys · their values.
template <typename Shape>
__device__ inline void multiply_values(const uint32_t (&weights)[Shape::kTileKeys / 8][2],
                                       const bf16 (*values)[Shape::kRow], float (&o)[Shape::kD / 8][4]) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int k = 0; k < Shape::kTileKeys / 16; ++k) {
    const uint32_t a[4] = {weights[2 * k][0], weights[2 * k][1], weights[2 * k + 1][0],
                           weights[2 * k + 1][1]};
#pragma unroll
    for (int d = 0; d < Shape::kD; d += 16) {
      uint32_t b[4];
      load_matrix4_transposed(b, &values[k * 16 + lane % 16][d + lane / 16 * 8]);
      mma(o[d / 8], a, b[0], b[1]);
      mma(o[d / 8 + 1], a, b[2], b[3]);
    }
  }
}

// One chunk of the warp's 16 rows. `idle`: no row of the warp exists; it takes part in fetching alone.
template <typename Shape>
__device__ inline void attend_chunk(Feed<Shape>& feed, int chunk, const bf16 (*q)[Shape::kRow],
                                    const QueryRow (&rows)[2], bool idle, ChunkState<Shape>& state) {
  for (int t = 0; t < feed.tiles(chunk); ++t) {
    const int visible[2] = {rows[0].visible(chunk) - t * Shape::kTileKeys,
                            rows[1].visible(chunk) - t * Shape::kTileKeys};
    uint32_t weights[Shape::kTileKeys / 8][2];
    const bf16(*keys)[Shape::kRow] = feed.next();
    if (!idle) {
      float s[Shape::kTileKeys / 8][4] = {};
      multiply_keys<Shape>(q, keys, s);
      weigh<Shape>(s, visible, t == 0, weights, state);
    }
    const bf16(*values)[Shape::kRow] = feed.next();
    if (!idle) multiply_values<Shape>(weights, values, state.o);
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
#pragma unroll
    for (int x = 1; x <= 2; x *= 2) state.sum[r] = state.sum[r] + __shfl_xor_sync(~0u, state.sum[r], x);
  }
}

template <typename Shape>
__device__ inline void write_rows(const Attend& a, const QueryRow (&rows)[2],
                                  const ChunkState<Shape>& state) {
  const int D = a.pages.head_dim_D, first = threadIdx.x % 4 * 2;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (rows[r].num_keys == 0) continue;
    const float scale = 1.0f / state.sum[r];
    bf16* to = static_cast<bf16*>(a.o) + int64_t(rows[r].at.out) * a.o_stride + rows[r].head * D;
#pragma unroll
    for (int n = 0; n < Shape::kD / 8; ++n) {
      // D is even.
      if (n * 8 + first < D) {
        *reinterpret_cast<uint32_t*>(to + n * 8 + first) =
            pack_bf16(finished(state.o[n][2 * r], scale), finished(state.o[n][2 * r + 1], scale));
      }
    }
  }
}

template <typename Shape>
__device__ inline void write_partials(const Attend& a, const AttendItem& item, const QueryRow (&rows)[2],
                                      const ChunkState<Shape>& state) {
  const int first = threadIdx.x % 4 * 2;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (rows[r].num_keys == 0) continue;
    const int64_t part = int64_t(rows[r].at.partials + item.first_chunk) * a.heads_H + rows[r].head;
#pragma unroll
    for (int n = 0; n < Shape::kD / 8; ++n) {
      *reinterpret_cast<float2*>(a.work.partial_o + part * Shape::kD + n * 8 + first) =
          float2{state.o[n][2 * r], state.o[n][2 * r + 1]};
    }
    if (threadIdx.x % 4 == 0) a.work.partial_ml[part] = float2{state.max[r], state.sum[r]};
  }
}

// A fixed grid walks over (item, key head).
template <typename Shape>
__global__ void __launch_bounds__(Shape::kThreads) attend_mma(Attend a) {
  typename Shape::Tile& tile = *dynamic_shared<typename Shape::Tile>();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, G = a.pages.heads_G;
  for (int w = blockIdx.x; w < *a.work.num_items * G; w += gridDim.x) {
    const AttendItem item = a.work.items[w / G];
    const int g = w % G;
    Feed<Shape> feed(a, item, g, tile);
    for (int i = 0; i < Shape::kStages - 1; ++i) feed.fetch();
    load_queries<Shape>(a, item, g, tile);
    const QueryRow rows[2] = {QueryRow(a, item, g, warp * 16 + lane / 4),
                              QueryRow(a, item, g, warp * 16 + lane / 4 + 8)};
    const bool idle = warp * 16 >= item.num_rows * a.heads_per_G;
    ChunkState<Shape> whole;
    for (int i = 0; i < item.num_chunks; ++i) {
      const int chunk = item.first_chunk + i;
      ChunkState<Shape> fresh;
      attend_chunk<Shape>(feed, chunk, tile.q + warp * 16, rows, idle, fresh);
      if (i == 0) {
        whole = fresh;
        continue;
      }
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        if (rows[r].visible(chunk) <= 0) continue;
        const MergeFactors merge(whole.max[r], fresh.max[r]);
#pragma unroll
        for (int n = 0; n < Shape::kD / 8; ++n) {
          whole.o[n][2 * r] = merge.join(whole.o[n][2 * r], fresh.o[n][2 * r]);
          whole.o[n][2 * r + 1] = merge.join(whole.o[n][2 * r + 1], fresh.o[n][2 * r + 1]);
        }
        whole.sum[r] = merge.join(whole.sum[r], fresh.sum[r]);
        whole.max[r] = merge.max;
      }
    }
    if (item.partial) {
      write_partials<Shape>(a, item, rows, whole);
    } else {
      write_rows<Shape>(a, rows, whole);
    }
    copy_wait<0>();
    __syncthreads();  // before the next item's queries and keys
  }
}

// A block has one query head of one row: its chunks' partial results, from left to right.
__global__ void merge_partials(Attend a) {
  const int D = a.pages.head_dim_D, kD = a.pages.padded_D, head = blockIdx.y, d = threadIdx.x;
  if (int(blockIdx.x) >= *a.work.num_merges || d >= D) return;
  const AttendRow row = a.work.merges[blockIdx.x];
  const int chunks = (a.keys_T[row.row].num_keys + kChunkTokens - 1) / kChunkTokens;
  float o = 0, max = 0, sum = 0;
  for (int c = 0; c < chunks; ++c) {
    const int64_t part = int64_t(row.partials + c) * a.heads_H + head;
    const float2 ml = a.work.partial_ml[part];
    const float fresh = a.work.partial_o[part * kD + d];
    const MergeFactors merge(c == 0 ? ml.x : max, ml.x);
    o = c == 0 ? fresh : merge.join(o, fresh);
    sum = c == 0 ? ml.y : merge.join(sum, ml.y);
    max = merge.max;
  }
  static_cast<bf16*>(a.o)[int64_t(row.out) * a.o_stride + head * D + d] =
      bf16(pack_bf16(finished(o, 1.0f / sum), 0));
}

}  // namespace mmprm::cuda
