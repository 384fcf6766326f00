// gemm for sm_90a: one warp keeps TMA copies in flight, the others multiply, by wgmma or, for tiles of 32 features, by
// mma.sync. Blocks take tile after tile, so that the copies of the next one begin while this one is finished.
#pragma once
#include "cuda/ring.h"
#include "kernels/gemm/gemm_epilogue.cuh"

namespace mmprm::cuda {

struct TileGrid {
  int features, tokens;  // tiles
  int steps;             // of k
};

// ---- wgmma: two warpgroups of 64 features each

template <int kTokens_>
struct WgmmaShape {
  static constexpr int kFeatures = 128, kTokens = kTokens_, kDepth = 64, kThreads = 384;
  static constexpr int kStageBytes = (kFeatures + kTokens) * kDepth * 2;
  static constexpr int kStages = 204 * 1024 / kStageBytes;
  static constexpr int kConsumerWarps = 8;

  struct Stage {
    bf16 w[kFeatures * kDepth], x[kTokens * kDepth];
  };
  struct Tile {
    Stage stages[kStages];
    float slices[kConsumerWarps][slice_floats(kTokens)];
    RingBarriers<kStages> barriers;
  };
};

// kEpilogue: one, or none, and the kernel asks.
template <typename Shape, Epilogue... kEpilogue>
__global__ void __launch_bounds__(Shape::kThreads, 1)
    gemm_wgmma(const __grid_constant__ TensorMap map_w, const __grid_constant__ TensorMap map_x,
               TileGrid grid, GemmOut out) {
#if defined(MMPRM_HOPPER)
  constexpr int kStages = Shape::kStages, kDepth = Shape::kDepth;
  typename Shape::Tile& tile = *dynamic_shared<typename Shape::Tile>();
  const int thread = threadIdx.x, group = thread / 128, tiles = grid.features * grid.tokens;
  if (thread == 0) {
    tile.barriers.init(Shape::kConsumerWarps);
    barrier_init_done();
  }
  __syncthreads();
  RingPlace<kStages> ring;
  if (group == 0) {
    registers_down<40>();
    if (thread == 0) {
      for (int i = blockIdx.x; i < tiles; i += gridDim.x) {
        const TilePlace place = tile_place(i, grid.features, grid.tokens);
        for (int s = 0; s < grid.steps; ++s, ring.advance()) {
          uint64_t* full = tile.barriers.begin_fill(ring, Shape::kStageBytes);
          tile_load(tile.stages[ring.stage].w, &map_w, s * kDepth, place.feature * Shape::kFeatures, full);
          tile_load(tile.stages[ring.stage].x, &map_x, s * kDepth, place.token * Shape::kTokens, full);
        }
      }
    }
  } else {
    registers_up<232>();
    const int warp = thread / 32 - 4;
    for (int i = blockIdx.x; i < tiles; i += gridDim.x) {
      const TilePlace place = tile_place(i, grid.features, grid.tokens);
      float sums[Shape::kTokens / 2];
      int before = 0;
      for (int s = 0; s < grid.steps; ++s) {
        tile.barriers.wait_filled(ring);
        const uint64_t a = tile_descriptor(tile.stages[ring.stage].w + (group - 1) * 64 * kDepth);
        const uint64_t b = tile_descriptor(tile.stages[ring.stage].x);
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < kDepth / 16; ++k) wgmma_ss<false>(sums, a + 2 * k, b + 2 * k, s + k > 0);
        wgmma_commit();
        // The step before is done with its stage. One arrival per warp: each waits for its own products only.
        wgmma_wait<1>();
        if (s > 0) tile.barriers.release(before);
        before = ring.stage;
        ring.advance();
      }
      wgmma_wait<0>();
      tile.barriers.release(before);
      finish_warp<kEpilogue...>(out, sums, tile.slices[warp], place.feature * Shape::kFeatures + warp * 16,
                                place.token * Shape::kTokens);
    }
  }
#endif
}

// ---- mma.sync on TMA's tiles: 32 features, so that few rows still give every multiprocessor a tile

template <int kTokens_>
struct NarrowShape {
  static constexpr int kFeatures = 32, kTokens = kTokens_;
  static constexpr int kBoxes = 2, kDepth = kBoxes * 64;  // of k: a stage
  static constexpr int kWarpsT = kTokens <= 16 ? 1 : kTokens / 16, kWarpT = kTokens / kWarpsT;
  static constexpr int kConsumerWarps = 2 * kWarpsT, kThreads = 32 * (kConsumerWarps + 1);
  static constexpr int kStageBytes = (kFeatures + kTokens) * kDepth * 2;
  // Two blocks share a multiprocessor, but for 64 tokens.
  static constexpr int kStages = (kTokens == 64 ? 208 : 100) * 1024 / kStageBytes;

  struct Stage {
    bf16 w[kBoxes][kFeatures * 64], x[kBoxes][kTokens * 64];
  };
  struct Tile {
    Stage stages[kStages];
    float slices[kConsumerWarps][slice_floats(kWarpT)];
    RingBarriers<kStages> barriers;
  };
};

// Element (row, k) of a box whose rows are 128 bytes, as TMA swizzles it; k is a multiple of 8.
__device__ inline const bf16* swizzled(const bf16* box, int row, int k) {
  return box + row * 64 + ((k / 8 ^ row % 8) * 8);
}

template <typename Shape>
__device__ inline void multiply_narrow(const typename Shape::Stage& stage, float (&sums)[Shape::kWarpT / 2],
                                       int f, int t) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int box = 0; box < Shape::kBoxes; ++box) {
#pragma unroll
    for (int k = 0; k < 64; k += 16) {
      uint32_t a[4];
      load_matrix4(a, swizzled(stage.w[box], f + lane % 16, k + lane / 16 * 8));
      if constexpr (Shape::kWarpT == 8) {
        uint32_t b[2];
        load_matrix2(b, swizzled(stage.x[box], t + lane % 8, k + lane / 8 % 2 * 8));
        mma(sums, a, b[0], b[1]);
      } else {
        uint32_t b[4];
        load_matrix4(b, swizzled(stage.x[box], t + lane / 16 * 8 + lane % 8, k + lane / 8 % 2 * 8));
        mma(reinterpret_cast<float(&)[4]>(sums[0]), a, b[0], b[1]);
        mma(reinterpret_cast<float(&)[4]>(sums[4]), a, b[2], b[3]);
      }
    }
  }
}

template <typename Shape>
__global__ void __launch_bounds__(Shape::kThreads, 1)
    gemm_narrow(const __grid_constant__ TensorMap map_w, const __grid_constant__ TensorMap map_x,
                TileGrid grid, GemmOut out) {
#if defined(MMPRM_HOPPER)
  constexpr int kStages = Shape::kStages;
  typename Shape::Tile& tile = *dynamic_shared<typename Shape::Tile>();
  const int thread = threadIdx.x, warp = thread / 32, tiles = grid.features * grid.tokens;
  if (thread == 0) {
    tile.barriers.init(Shape::kConsumerWarps);
    barrier_init_done();
  }
  __syncthreads();
  RingPlace<kStages> ring;
  if (warp == Shape::kConsumerWarps) {
    if (thread % 32 != 0) return;
    for (int i = blockIdx.x; i < tiles; i += gridDim.x) {
      const TilePlace place = tile_place(i, grid.features, grid.tokens);
      for (int s = 0; s < grid.steps; ++s, ring.advance()) {
        typename Shape::Stage& stage = tile.stages[ring.stage];
        uint64_t* full = tile.barriers.begin_fill(ring, Shape::kStageBytes);
        for (int box = 0; box < Shape::kBoxes; ++box) {
          const int k = s * Shape::kDepth + box * 64;
          tile_load(stage.w[box], &map_w, k, place.feature * Shape::kFeatures, full);
          tile_load(stage.x[box], &map_x, k, place.token * Shape::kTokens, full);
        }
      }
    }
    return;
  }
  const int f = warp / Shape::kWarpsT * 16, t = warp % Shape::kWarpsT * Shape::kWarpT;
  for (int i = blockIdx.x; i < tiles; i += gridDim.x) {
    const TilePlace place = tile_place(i, grid.features, grid.tokens);
    float sums[Shape::kWarpT / 2] = {};
    for (int s = 0; s < grid.steps; ++s, ring.advance()) {
      tile.barriers.wait_filled(ring);
      multiply_narrow<Shape>(tile.stages[ring.stage], sums, f, t);
      __syncwarp();  // all lanes have read
      tile.barriers.release(ring.stage);
    }
    finish_warp(out, sums, tile.slices[warp], place.feature * Shape::kFeatures + f,
                place.token * Shape::kTokens + t);
  }
#endif
}

}  // namespace mmprm::cuda
