// gemm by cp.async, ldmatrix and mma.sync m16n8k16: every chip from sm_80 on.
#pragma once
#include "kernels/gemm/gemm_epilogue.cuh"

namespace mmprm::cuda {

// kWarpsF x kWarpsT warps share a tile of kFeatures x kTokens.
template <int kFeatures_, int kTokens_, int kWarpsF_, int kWarpsT_, int kStages_>
struct MmaShape {
  static constexpr int kFeatures = kFeatures_, kTokens = kTokens_, kWarpsF = kWarpsF_, kWarpsT = kWarpsT_;
  static constexpr int kStages = kStages_, kThreads = kWarpsF * kWarpsT * 32;
  static constexpr int kDepth = 32, kRow = kDepth + 8;  // a padded row: ldmatrix meets no bank twice
  static constexpr int kWarpF = kFeatures / kWarpsF, kWarpT = kTokens / kWarpsT;
  static_assert(kWarpF % 16 == 0 && kWarpT % 8 == 0 && (kWarpT == 8 || kWarpT % 16 == 0));

  struct Stage {
    bf16 w[kFeatures][kRow], x[kTokens][kRow];
  };
  union Tile {
    Stage stages[kStages];
    float slices[kWarpsF * kWarpsT][slice_floats(kWarpT)];  // once all products are done
  };
};

struct GemmIn {
  const bf16 *w, *x;
  int64_t w_stride, x_stride;
  int N, K, rows;
};

// Rows [first, first + kRows) of a matrix, k0 … k0 + kDepth - 1; zeros outside.
template <typename Shape, int kRows>
__device__ inline void fetch_rows(bf16 (*to)[Shape::kRow], const bf16* from, int64_t stride, int first,
                                  int num_rows, int k0, int K) {
  constexpr int kParts = Shape::kDepth / 8;
  for (int i = threadIdx.x; i < kRows * kParts; i += Shape::kThreads) {
    const int row = i / kParts, k = k0 + i % kParts * 8, left = K - k;
    const bool inside = first + row < num_rows && left > 0;
    copy_async16_part(&to[row][k - k0], inside ? from + int64_t(first + row) * stride + k : from,
                      inside ? (left < 8 ? left * 2 : 16) : 0);
  }
}

template <typename Shape>
__device__ inline void multiply_stage(const typename Shape::Stage& stage,
                                      float (&sums)[Shape::kWarpF / 16][Shape::kWarpT / 2], int f, int t) {
  constexpr int kF = Shape::kWarpF / 16;
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int k = 0; k < Shape::kDepth; k += 16) {
    uint32_t a[kF][4];
#pragma unroll
    for (int m = 0; m < kF; ++m) load_matrix4(a[m], &stage.w[f + m * 16 + lane % 16][k + lane / 16 * 8]);
    if constexpr (Shape::kWarpT == 8) {
      uint32_t b[2];
      load_matrix2(b, &stage.x[t + lane % 8][k + lane / 8 % 2 * 8]);
#pragma unroll
      for (int m = 0; m < kF; ++m) mma(sums[m], a[m], b[0], b[1]);
    } else {
#pragma unroll
      for (int n = 0; n < Shape::kWarpT; n += 16) {
        uint32_t b[4];
        load_matrix4(b, &stage.x[t + n + lane / 16 * 8 + lane % 8][k + lane / 8 % 2 * 8]);
#pragma unroll
        for (int m = 0; m < kF; ++m) {
          mma(reinterpret_cast<float(&)[4]>(sums[m][n / 2]), a[m], b[0], b[1]);
          mma(reinterpret_cast<float(&)[4]>(sums[m][n / 2 + 4]), a[m], b[2], b[3]);
        }
      }
    }
  }
}

// One tile per block.
template <typename Shape>
__global__ void __launch_bounds__(Shape::kThreads) gemm_mma(GemmIn in, GemmOut out) {
  constexpr int kStages = Shape::kStages, kDepth = Shape::kDepth;
  typename Shape::Tile& tile = *dynamic_shared<typename Shape::Tile>();
  const int warp = threadIdx.x / 32, f = warp / Shape::kWarpsT * Shape::kWarpF,
            t = warp % Shape::kWarpsT * Shape::kWarpT;
  const TilePlace place = tile_place(blockIdx.x, (in.N + Shape::kFeatures - 1) / Shape::kFeatures,
                                     (in.rows + Shape::kTokens - 1) / Shape::kTokens);
  const int first_feature = place.feature * Shape::kFeatures, first_token = place.token * Shape::kTokens;
  const int steps = (in.K + kDepth - 1) / kDepth;

  const auto fetch = [&](int step) {
    typename Shape::Stage& stage = tile.stages[step % kStages];
    fetch_rows<Shape, Shape::kFeatures>(stage.w, in.w, in.w_stride, first_feature, in.N, step * kDepth, in.K);
    fetch_rows<Shape, Shape::kTokens>(stage.x, in.x, in.x_stride, first_token, in.rows, step * kDepth, in.K);
  };

  float sums[Shape::kWarpF / 16][Shape::kWarpT / 2] = {};
  for (int s = 0; s < kStages - 1; ++s) {
    if (s < steps) fetch(s);
    copy_commit();
  }
  for (int s = 0; s < steps; ++s) {
    copy_wait<kStages - 2>();
    __syncthreads();
    if (s + kStages - 1 < steps) fetch(s + kStages - 1);
    copy_commit();
    multiply_stage<Shape>(tile.stages[s % kStages], sums, f, t);
  }
  copy_wait<0>();
  __syncthreads();
#pragma unroll
  for (int m = 0; m < Shape::kWarpF / 16; ++m) {
    finish_warp(out, sums[m], tile.slices[warp], first_feature + f + m * 16, first_token + t);
  }
}

}  // namespace mmprm::cuda
