// attention on BF16 pages for sm_90a: a block is two warpgroups that work alone, 64 query rows each, and two warps per
// warpgroup that keep TMA copies of keys and of values in its ring. While a warpgroup weighs the scores of a tile, its products with
// the values of the tile before run, and the other warpgroup's.
#pragma once
#include "cuda/ring.h"
#include "kernels/attention/attention_rows.cuh"

namespace mmprm::cuda {

template <int kD_>
struct AttendWgmmaShape {
  static constexpr int kD = kD_, kGroups = 2, kThreads = 128 * (1 + kGroups), kStages = kD == 64 ? 8 : 5;
  static constexpr int kBoxes = kD / 64;  // of 64 elements: 128 bytes, what a swizzled row holds
  // Registers of a thread that feeds, and of one that computes. WHY the bound: a block begins with 168 a thread, and who
  // asks for more than others gave back waits for ever.
  static constexpr int kFeedRegisters = kD == 64 ? 56 : 40, kComputeRegisters = kD == 64 ? 224 : 232;
  static_assert(128 * (kFeedRegisters + kGroups * kComputeRegisters) <= 65536 / kThreads / 8 * 8 * kThreads);
  static constexpr int kTileElements = kTileKeys * kD, kTilePages = kTileKeys / kPageTokens;
  static_assert(kD % 64 == 0 && kAttendRows == 64 && kGroups == 2);

  // A warpgroup's own. Rows of 128 bytes, swizzled; one box of columns behind the other.
  struct Ring {
    bf16 q[kAttendRows * kD];
    bf16 tiles[kStages][kTileElements];  // keys, then their values
  };
  using Barriers = RingBarriers<kStages>;
  struct Tile {
    Ring rings[kGroups];
    Barriers barriers[kGroups];
  };
};

constexpr int kSwizzledRow = 64;  // elements
constexpr int kChunkTiles = kChunkTokens / kTileKeys;

// The items of a warpgroup, one after the other: pairs of an item and a key head. WHY no quotient per item: a division
// takes 40 instructions one behind the other.
struct ItemWalk {
  const Attend& a;
  int item, g;             // what is next
  int step_items, step_g;  // to the one after it
  int num_items;

  __device__ ItemWalk(const Attend& a, int first, int step)
      : a(a),
        item(first / a.pages.heads_G),
        g(first % a.pages.heads_G),
        step_items(step / a.pages.heads_G),
        step_g(step % a.pages.heads_G),
        num_items(*a.work.num_items) {}
  __device__ bool more() const { return item < num_items; }
  __device__ void advance() {
    item += step_items, g += step_g;
    if (g >= a.pages.heads_G) g -= a.pages.heads_G, ++item;
  }
};

// Tiles of 64 keys from an item's first one on, at absolute positions.
struct TileRange {
  int first, end;
  __device__ TileRange(const AttendItem& item, int num_keys) : first(item.first_chunk * kChunkTiles) {
    const int last = first + item.num_chunks * kChunkTiles, tiles = (num_keys + kTileKeys - 1) / kTileKeys;
    end = last < tiles ? last : tiles;
  }
};

// The page numbers of a tile. WHY all before any is used: their loads are under way together.
template <int kTilePages>
struct TilePages {
  int numbers[kTilePages];
  __device__ void load(const int32_t* pages, int tile, int num_pages) {
#pragma unroll
    for (int p = 0; p < kTilePages; ++p) {
      const int at = tile * kTilePages + p;
      numbers[p] = at < num_pages ? pages[at] : -1;
    }
  }
};

// One thread: the keys (half 0) or the values (1) of all of a warpgroup's items, in the order in which they are used; the
// other half's stages lie between. `map`: all pages of the pool as rows of one matrix.
template <typename Shape>
__device__ inline void feed_ring(const Attend& a, const TensorMap* map, ItemWalk walk, int half,
                                 typename Shape::Ring& ring, typename Shape::Barriers& barriers) {
#if defined(MMPRM_HOPPER)
  const int page_rows = 2 * a.pages.heads_G * kPageTokens, layer_rows = a.layer * a.pages.count * page_rows;
  // Pages that a tile lacks: behind the matrix, from where zeros come.
  const int nowhere = a.pages.layers * a.pages.count * page_rows;
  RingPlace<Shape::kStages> place;
  if (half == 1) place.advance();
  for (; walk.more(); walk.advance()) {
    const AttendItem item = a.work.items[walk.item];
    const KeyRun keys = a.keys_T[item.longest];
    const TileRange tiles(item, keys.num_keys);
    const int32_t* pages = a.pages_list + keys.first;
    const int num_pages = (keys.num_keys + kPageTokens - 1) / kPageTokens;
    const int first_row = layer_rows + (2 * walk.g + half) * kPageTokens;
    TilePages<Shape::kTilePages> next;
    next.load(pages, tiles.first, num_pages);
    for (int t = tiles.first; t < tiles.end; ++t, place.advance(), place.advance()) {
      const TilePages<Shape::kTilePages> now = next;
      next.load(pages, t + 1, num_pages);  // under way while the stage is waited for
      uint64_t* full = barriers.begin_fill(place, Shape::kTileElements * int(sizeof(bf16)));
      bf16* to = ring.tiles[place.stage];
#pragma unroll
      for (int p = 0; p < Shape::kTilePages; ++p) {
        const int row = now.numbers[p] < 0 ? nowhere : first_row + now.numbers[p] * page_rows;
#pragma unroll
        for (int box = 0; box < Shape::kBoxes; ++box) {
          tile_load(to + (box * kTileKeys + p * kPageTokens) * kSwizzledRow, map, box * kSwizzledRow, row,
                    full);
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

// Begins scores of the warpgroup's 64 rows and one tile of keys: a group of products.
template <typename Shape>
__device__ inline void begin_scores(const bf16* q, const bf16* keys, float (&s)[kTileKeys / 8][4]) {
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
#endif
}

// Begins o += weights of a tile of keys · their values: a group of products.
template <typename Shape>
__device__ inline void begin_values(const Weights& weights, const bf16* values,
                                    float (&o)[Shape::kD / 8][4]) {
#if defined(MMPRM_HOPPER)
  float(&flat)[Shape::kD / 2] = reinterpret_cast<float(&)[Shape::kD / 2]>(o);
  const uint64_t b = tile_descriptor(values, kTileKeys * kSwizzledRow * int(sizeof(bf16)), 1024);
  wgmma_fence();
#pragma unroll
  for (int k = 0; k < kTileKeys / 16; ++k) {
    wgmma_rs<true>(flat, weights.a[k], b + k * 128, 1);  // 16 keys are 2,048 bytes further
  }
  wgmma_commit();
#endif
}

// A warpgroup's side of its ring.
template <typename Shape>
struct Taker {
  const typename Shape::Ring& ring;
  typename Shape::Barriers& barriers;
  RingPlace<Shape::kStages> place;

  // The next tile; `stage` is what to release.
  __device__ const bf16* next(int& stage) {
#if defined(MMPRM_HOPPER)
    barriers.wait_filled(place);
#endif
    stage = place.stage;
    place.advance();
    return ring.tiles[stage];
  }
  __device__ void release(int stage) {
#if defined(MMPRM_HOPPER)
    barriers.release(stage);
#endif
  }
};

// One chunk of the warpgroup's 64 rows. Scores of a tile are begun before the product of the tile before them, so that
// this product runs while they become weights.
template <typename Shape>
__device__ inline void attend_chunk(Taker<Shape>& taker, const bf16* q, const QueryRow (&rows)[2], int chunk,
                                    int window, int tiles, ChunkState<Shape::kD>& state) {
#if defined(MMPRM_HOPPER)
  float s[kTileKeys / 8][4], old[2];
  int keys, values;  // stages
  begin_scores<Shape>(q, taker.next(keys), s);
  wgmma_wait<0>();
  taker.release(keys);
  weigh(s, {rows[0].visible(chunk), rows[1].visible(chunk)}, window, true, old, state);
  for (int t = 1; t < tiles; ++t) {
    const int visible[2] = {rows[0].visible(chunk) - t * kTileKeys, rows[1].visible(chunk) - t * kTileKeys};
    // A product's registers must stay as they are until it is waited for: so these become the next ones only then.
    const Weights weights(s);
    const bf16* values_before = taker.next(values);
    begin_scores<Shape>(q, taker.next(keys), s);
    begin_values<Shape>(weights, values_before, state.o);
    wgmma_wait<1>();
    taker.release(keys);
    weigh(s, visible, window, false, old, state);
    wgmma_wait<0>();
    taker.release(values);
    scale_values(state, old);
  }
  begin_values<Shape>(Weights(s), taker.next(values), state.o);
  wgmma_wait<0>();
  taker.release(values);
#endif
}

template <typename Shape>
__device__ inline void attend_items(const Attend& a, int group, ItemWalk walk, typename Shape::Ring& ring,
                                    typename Shape::Barriers& barriers) {
  Taker<Shape> taker{ring, barriers, {}};
  for (; walk.more(); walk.advance()) {
    const auto rows_of_thread = [&](QueryRow(&rows)[2]) {
      const int p = threadIdx.x % 128 / 32 * 16 + threadIdx.x % 32 / 4;
      for (int r = 0; r < 2; ++r) rows[r] = QueryRow(a, a.work.items[walk.item], walk.g, p + 8 * r);
    };
    const AttendItem& item = a.work.items[walk.item];
    const TileRange tiles(item, a.keys_T[item.longest].num_keys);
    place_queries<Shape>(a, item, walk.g, group, ring.q);
    QueryRow rows[2];
    rows_of_thread(rows);
    ChunkState<Shape::kD> whole;
    whole.max[0] = whole.max[1] = kUnseen;
    for (int t = tiles.first; t < tiles.end; t += kChunkTiles) {
      const int chunk = t / kChunkTiles, left = tiles.end - t;
      ChunkState<Shape::kD> fresh;
      attend_chunk<Shape>(taker, ring.q, rows, chunk, a.window, left < kChunkTiles ? left : kChunkTiles,
                          fresh);
      sum_columns(fresh);
      merge_chunk(rows, chunk, whole, fresh);
    }
    rows_of_thread(rows);  // WHY again: what writing alone asks for would take registers all the way
    write_item(a, item, rows, whole);
  }
}

// A fixed grid walks over (item, key head).
template <typename Shape>
__global__ void __launch_bounds__(Shape::kThreads, 1)
    attend_wgmma(Attend a, const __grid_constant__ TensorMap pages) {
#if defined(MMPRM_HOPPER)
  typename Shape::Tile& tile = *dynamic_shared<typename Shape::Tile>();
  const int thread = threadIdx.x, group = thread / 128 - 1, stride = gridDim.x * Shape::kGroups;
  if (thread == 0) {
    for (int g = 0; g < Shape::kGroups; ++g) tile.barriers[g].init(4);  // a warp each
    barrier_init_done();
  }
  __syncthreads();
  if (group < 0) {
    registers_down<Shape::kFeedRegisters>();
    const int of = thread / 64, half = thread / 32 % 2;
    if (thread % 32 == 0) {
      const ItemWalk walk(a, blockIdx.x * Shape::kGroups + of, stride);
      feed_ring<Shape>(a, &pages, walk, half, tile.rings[of], tile.barriers[of]);
    }
  } else {
    registers_up<Shape::kComputeRegisters>();
    const ItemWalk walk(a, blockIdx.x * Shape::kGroups + group, stride);
    attend_items<Shape>(a, group, walk, tile.rings[group], tile.barriers[group]);
  }
#endif
}

}  // namespace mmprm::cuda
