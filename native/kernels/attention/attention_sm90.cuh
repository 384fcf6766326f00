// attention on BF16 pages for sm_90a: a block is two warpgroups that work alone, 64 query rows each, and one warp per
// warpgroup that keeps TMA copies of pages in its ring. While one of the two weighs scores, the other's products run.
#pragma once
#include "kernels/attention/attention_rows.cuh"

namespace mmprm::cuda {

template <int kD_>
struct AttendWgmmaShape {
  static constexpr int kD = kD_, kGroups = 2, kThreads = 128 * (1 + kGroups), kStages = kD == 64 ? 8 : 5;
  static constexpr int kBoxes = kD / 64;  // of 64 elements: 128 bytes, what a swizzled row holds
  static constexpr int kTileElements = kTileKeys * kD, kTilePages = kTileKeys / kPageTokens;
  static_assert(kD % 64 == 0 && kAttendRows == 64);

  // A warpgroup's own. Rows of 128 bytes, swizzled; one box of columns behind the other.
  struct Ring {
    bf16 q[kAttendRows * kD];
    bf16 tiles[kStages][kTileElements];  // keys, then their values
  };
  struct Barriers {
    uint64_t full[kStages], empty[kStages];
  };
  struct Tile {
    Ring rings[kGroups];
    Barriers barriers[kGroups];
  };
};

constexpr int kSwizzledRow = 64;  // elements

// Which stage is next, and in which round.
template <int kStages>
struct RingPlace {
  int stage = 0;
  uint32_t parity = 0;
  __device__ void advance() {
    if (++stage == kStages) stage = 0, parity ^= 1;
  }
};

__device__ inline int tiles_of_chunk(int num_keys, int chunk) {
  const int left = num_keys - chunk * kChunkTokens;
  return ((left < kChunkTokens ? left : kChunkTokens) + kTileKeys - 1) / kTileKeys;
}

// One thread: all tiles of a warpgroup's items, in the order in which they are used. `map`: all pages of the pool as rows
// of one matrix.
template <typename Shape>
__device__ inline void feed_ring(const Attend& a, const TensorMap* map, int group, typename Shape::Ring& ring,
                                 typename Shape::Barriers& barriers) {
#if defined(MMPRM_HOPPER)
  const int G = a.pages.heads_G, halves = 2 * G;
  // Pages that a tile lacks: behind the matrix, from where zeros come.
  const int nowhere = a.pages.layers * a.pages.count * halves * kPageTokens;
  RingPlace<Shape::kStages> place;
  for (int w = blockIdx.x * Shape::kGroups + group; w < *a.work.num_items * G;
       w += gridDim.x * Shape::kGroups) {
    const AttendItem item = a.work.items[w / G];
    const KeyRun keys = a.keys_T[item.longest];
    const int32_t* pages = a.pages_list + keys.first;
    for (int chunk = item.first_chunk; chunk < item.first_chunk + item.num_chunks; ++chunk) {
      for (int t = 0; t < tiles_of_chunk(keys.num_keys, chunk); ++t) {
        const int first = (chunk * kChunkTokens + t * kTileKeys) / kPageTokens;
        for (int half = 0; half < 2; ++half, place.advance()) {
          uint64_t* full = &barriers.full[place.stage];
          barrier_wait(&barriers.empty[place.stage], place.parity ^ 1);
          barrier_arrive_expect(full, Shape::kTileElements * int(sizeof(bf16)));
          for (int p = 0; p < Shape::kTilePages; ++p) {
            const bool inside = (first + p) * kPageTokens < keys.num_keys;
            const int row =
                inside ? ((a.layer * a.pages.count + pages[first + p]) * halves + 2 * (w % G) + half) *
                             kPageTokens
                       : nowhere;
            for (int box = 0; box < Shape::kBoxes; ++box) {
              bf16* to = ring.tiles[place.stage] + (box * kTileKeys + p * kPageTokens) * kSwizzledRow;
              tile_load(to, map, box * kSwizzledRow, row, full);
            }
          }
        }
      }
    }
  }
#endif
}

// An item's queries where wgmma reads them. All threads of the warpgroup call; none may read the item's before any more.
template <typename Shape>
__device__ inline void place_queries(const Attend& a, const AttendItem& item, int g, int group, bf16* q) {
#if defined(MMPRM_HOPPER)
  named_barrier_sync(1 + group, 128);
  for (int i = threadIdx.x % 128; i < kAttendRows * Shape::kD / 8; i += 128) {
    const int p = i / (Shape::kD / 8), eight = i % (Shape::kD / 8), box = eight / 8;
    bf16* row = q + (box * kAttendRows + p) * kSwizzledRow;
    *reinterpret_cast<uint4*>(row + (eight % 8 ^ p % 8) * 8) = query_chunk(a, item, g, p, eight * 8);
  }
  proxy_fence();
  named_barrier_sync(1 + group, 128);
#endif
}

// Scores of the warpgroup's 64 rows and one tile of keys.
template <typename Shape>
__device__ inline void score_keys(const bf16* q, const bf16* keys, float (&s)[kTileKeys / 8][4]) {
#if defined(MMPRM_HOPPER)
  float(&flat)[kTileKeys / 2] = reinterpret_cast<float(&)[kTileKeys / 2]>(s);
  wgmma_fence();
#pragma unroll
  for (int d = 0; d < Shape::kD; d += 16) {
    const int box = d / 64, step = d % 64 / 16 * 2;
    wgmma_ss<false>(flat, tile_descriptor(q + box * kAttendRows * kSwizzledRow) + step,
                    tile_descriptor(keys + box * kTileKeys * kSwizzledRow) + step, d > 0);
  }
  wgmma_commit();
  wgmma_wait<0>();
#endif
}

// o += weights of a tile of keys · their values.
template <typename Shape>
__device__ inline void add_values(const uint32_t (&weights)[kTileKeys / 8][2], const bf16* values,
                                  float (&o)[Shape::kD / 8][4]) {
#if defined(MMPRM_HOPPER)
  float(&flat)[Shape::kD / 2] = reinterpret_cast<float(&)[Shape::kD / 2]>(o);
  const uint64_t b = tile_descriptor(values, kTileKeys * kSwizzledRow * int(sizeof(bf16)), 1024);
  // As mma takes them. They are read until the wait, so they all exist until then.
  uint32_t a[kTileKeys / 16][4];
#pragma unroll
  for (int k = 0; k < kTileKeys / 16; ++k) {
#pragma unroll
    for (int i = 0; i < 4; ++i) a[k][i] = weights[2 * k + i / 2][i % 2];
  }
  wgmma_fence();
#pragma unroll
  for (int k = 0; k < kTileKeys / 16; ++k) {
    wgmma_rs<true>(flat, a[k], b + k * 128, 1);  // 16 keys are 2,048 bytes further
  }
  wgmma_commit();
  wgmma_wait<0>();
#endif
}

// A warpgroup's side of its ring.
template <typename Shape>
struct Taker {
  const typename Shape::Ring& ring;
  typename Shape::Barriers& barriers;
  RingPlace<Shape::kStages> place;

  __device__ const bf16* next() {
#if defined(MMPRM_HOPPER)
    barrier_wait(&barriers.full[place.stage], place.parity);
#endif
    return ring.tiles[place.stage];
  }
  // The warp is done with what next() gave.
  __device__ void release() {
#if defined(MMPRM_HOPPER)
    if (threadIdx.x % 32 == 0) barrier_arrive(&barriers.empty[place.stage]);
#endif
    place.advance();
  }
};

template <typename Shape>
__device__ inline void attend_items(const Attend& a, int group, typename Shape::Ring& ring,
                                    typename Shape::Barriers& barriers) {
  const int G = a.pages.heads_G;
  Taker<Shape> taker{ring, barriers, {}};
  for (int w = blockIdx.x * Shape::kGroups + group; w < *a.work.num_items * G;
       w += gridDim.x * Shape::kGroups) {
    const auto rows_of_thread = [&](QueryRow(&rows)[2]) {
      const int p = threadIdx.x % 128 / 32 * 16 + threadIdx.x % 32 / 4;
      for (int r = 0; r < 2; ++r) rows[r] = QueryRow(a, a.work.items[w / G], w % G, p + 8 * r);
    };
    const int num_keys = a.keys_T[a.work.items[w / G].longest].num_keys;
    int chunk = a.work.items[w / G].first_chunk;
    const int end = chunk + a.work.items[w / G].num_chunks;
    place_queries<Shape>(a, a.work.items[w / G], w % G, group, ring.q);
    QueryRow rows[2];
    rows_of_thread(rows);
    ChunkState<Shape::kD> whole;
    for (bool first = true; chunk < end; ++chunk, first = false) {
      ChunkState<Shape::kD> fresh;
      for (int t = 0; t < tiles_of_chunk(num_keys, chunk); ++t) {
        const int visible[2] = {rows[0].visible(chunk) - t * kTileKeys,
                                rows[1].visible(chunk) - t * kTileKeys};
        float s[kTileKeys / 8][4];
        uint32_t weights[kTileKeys / 8][2];
        score_keys<Shape>(ring.q, taker.next(), s);
        taker.release();
        weigh(s, visible, t == 0, weights, fresh);
        add_values<Shape>(weights, taker.next(), fresh.o);
        taker.release();
      }
      sum_columns(fresh);
      if (first) {
        whole = fresh;
      } else {
        merge_chunk(rows, chunk, whole, fresh);
      }
    }
    rows_of_thread(rows);  // WHY again: what writing alone asks for would take registers all the way
    write_item(a, a.work.items[w / G], rows, whole);
  }
}

// A fixed grid walks over (item, key head).
template <typename Shape>
__global__ void __launch_bounds__(Shape::kThreads, 1)
    attend_wgmma(Attend a, const __grid_constant__ TensorMap pages) {
#if defined(MMPRM_HOPPER)
  typename Shape::Tile& tile = *dynamic_shared<typename Shape::Tile>();
  const int thread = threadIdx.x, group = thread / 128 - 1;
  if (thread == 0) {
    for (int g = 0; g < Shape::kGroups; ++g) {
      for (int s = 0; s < Shape::kStages; ++s) {
        barrier_init(&tile.barriers[g].full[s], 1);
        barrier_init(&tile.barriers[g].empty[s], 4);  // a warp each
      }
    }
    barrier_init_done();
  }
  __syncthreads();
  if (group < 0) {
    registers_down<40>();
    const int of = thread / 32;
    if (of < Shape::kGroups && thread % 32 == 0) {
      feed_ring<Shape>(a, &pages, of, tile.rings[of], tile.barriers[of]);
    }
  } else {
    registers_up<232>();
    attend_items<Shape>(a, group, tile.rings[group], tile.barriers[group]);
  }
#endif
}

}  // namespace mmprm::cuda
