// attention on BF16 pages by mma.sync: four warps of 16 query rows share the keys that cp.async brings, 64 at a time.
#pragma once
#include "kernels/attention/attention_rows.cuh"

namespace mmprm::cuda {

template <int kD_>
struct AttendShape {
  static constexpr int kD = kD_, kStages = 4, kThreads = kAttendRows * 2;
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
    return ((left < kChunkTokens ? left : kChunkTokens) + kTileKeys - 1) / kTileKeys;
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
    const int first = chunk_ * kChunkTokens + step_ * kTileKeys;
    for (int i = threadIdx.x; i < kTileKeys * kParts; i += Shape::kThreads) {
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

// Scores of 16 query rows and one tile of keys: s[n] is 8 keys.
template <typename Shape>
__device__ inline void multiply_keys(const bf16 (*q)[Shape::kRow], const bf16 (*keys)[Shape::kRow],
                                     float (&s)[kTileKeys / 8][4]) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int d = 0; d < Shape::kD; d += 16) {
    uint32_t a[4];
    load_matrix4(a, &q[lane % 16][d + lane / 16 * 8]);
#pragma unroll
    for (int n = 0; n < kTileKeys; n += 16) {
      uint32_t b[4];
      load_matrix4(b, &keys[n + lane / 16 * 8 + lane % 8][d + lane / 8 % 2 * 8]);
      mma(s[n / 8], a, b[0], b[1]);
      mma(s[n / 8 + 1], a, b[2], b[3]);
    }
  }
}

// o += weights of a tile of keys · their values.
template <typename Shape>
__device__ inline void multiply_values(const Weights& weights, const bf16 (*values)[Shape::kRow],
                                       float (&o)[Shape::kD / 8][4]) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int k = 0; k < kTileKeys / 16; ++k) {
#pragma unroll
    for (int d = 0; d < Shape::kD; d += 16) {
      uint32_t b[4];
      load_matrix4_transposed(b, &values[k * 16 + lane % 16][d + lane / 16 * 8]);
      mma(o[d / 8], weights.a[k], b[0], b[1]);
      mma(o[d / 8 + 1], weights.a[k], b[2], b[3]);
    }
  }
}

// One chunk of the warp's 16 rows. `idle`: no row of the warp exists; it takes part in fetching alone.
template <typename Shape>
__device__ inline void attend_chunk(Feed<Shape>& feed, int chunk, const bf16 (*q)[Shape::kRow],
                                    const QueryRow (&rows)[2], int window, bool idle,
                                    ChunkState<Shape::kD>& state) {
  for (int t = 0; t < feed.tiles(chunk); ++t) {
    const int visible[2] = {rows[0].visible(chunk) - t * kTileKeys, rows[1].visible(chunk) - t * kTileKeys};
    float s[kTileKeys / 8][4] = {};
    const bf16(*keys)[Shape::kRow] = feed.next();
    if (!idle) {
      float old[2];
      multiply_keys<Shape>(q, keys, s);
      weigh(s, visible, window, t == 0, old, state);
      if (t > 0) scale_values(state, old);
    }
    const bf16(*values)[Shape::kRow] = feed.next();
    if (!idle) multiply_values<Shape>(Weights(s), values, state.o);
  }
  sum_columns(state);
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
    for (int i = threadIdx.x; i < kAttendRows * Shape::kD / 8; i += Shape::kThreads) {
      const int p = i / (Shape::kD / 8), d = i % (Shape::kD / 8) * 8;
      *reinterpret_cast<uint4*>(&tile.q[p][d]) = query_chunk(a, item, g, p, d);
    }
    const QueryRow rows[2] = {QueryRow(a, item, g, warp * 16 + lane / 4),
                              QueryRow(a, item, g, warp * 16 + lane / 4 + 8)};
    const bool idle = warp * 16 >= item.num_rows * a.heads_per_G;
    ChunkState<Shape::kD> whole;
    whole.max[0] = whole.max[1] = kUnseen;
    for (int i = 0; i < item.num_chunks; ++i) {
      const int chunk = item.first_chunk + i;
      ChunkState<Shape::kD> fresh;
      attend_chunk<Shape>(feed, chunk, tile.q + warp * 16, rows, a.window, idle, fresh);
      merge_chunk(rows, chunk, whole, fresh);
    }
    write_item(a, item, rows, whole);
    copy_wait<0>();
    __syncthreads();  // before the next item's queries and keys
  }
}

}  // namespace mmprm::cuda
