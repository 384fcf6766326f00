// gemm on CUDA: from a warp's accumulators to rows of y, by way of a few rows in shared memory, where they turn from
// [feature][token] to [token][feature]. An output's arithmetic is the same in every kernel and tile.
#pragma once
#include "cuda/arithmetic.h"
#include "cuda/ptx.h"
#include "kernels/gemm/gemm_cuda.h"

namespace mmprm::cuda {

struct GemmOut {
  void* y;
  int64_t y_stride;
  const float *bias_N, *column_scale_N;
  int rows, y_cols;
  DType y_dtype;
  Epilogue epilogue;
  bool vectors;  // four elements of y may be written at once

  explicit GemmOut(const GemmProblem& p)
      : y(p.y),
        y_stride(p.y_stride),
        bias_N(p.bias_N),
        column_scale_N(p.column_scale_N),
        rows(p.rows),
        y_cols(p.y_cols),
        y_dtype(p.y_dtype),
        epilogue(p.epilogue),
        vectors(p.y_stride % 4 == 0 && reinterpret_cast<uintptr_t>(p.y) % (4 * dtype_bytes(p.y_dtype)) == 0) {
  }
};

// v = (v + bias) · column scale for features f … f + 3; f is a multiple of 4.
__device__ inline void scale_four(const GemmOut& out, float (&v)[4], int f) {
  if (out.bias_N) {
    const float4 b = *reinterpret_cast<const float4*>(out.bias_N + f);
    v[0] += b.x, v[1] += b.y, v[2] += b.z, v[3] += b.w;
  }
  if (out.column_scale_N) {
    const float4 s = *reinterpret_cast<const float4*>(out.column_scale_N + f);
    v[0] *= s.x, v[1] *= s.y, v[2] *= s.z, v[3] *= s.w;
  }
}

// Columns column … column + 3 of y as they are, for kAccumulate. WHY apart from the addition: the memory answers while
// other work is done.
__device__ inline float4 load_before(const GemmOut& out, int column, int token) {
  const bool wanted =
      out.epilogue == Epilogue::kAccumulate && out.vectors && column + 4 <= out.y_cols && token < out.rows;
  if (!wanted) return float4{0, 0, 0, 0};
  return *reinterpret_cast<const float4*>(static_cast<const float*>(out.y) + int64_t(token) * out.y_stride +
                                          column);
}

__device__ inline void store_four_f32(const GemmOut& out, float (&v)[4], int64_t at, int count,
                                      const float4& before) {
  float* y = static_cast<float*>(out.y) + at;
  const bool add = out.epilogue == Epilogue::kAccumulate;
  if (out.vectors && count == 4) {
    if (add) v[0] = before.x + v[0], v[1] = before.y + v[1], v[2] = before.z + v[2], v[3] = before.w + v[3];
    *reinterpret_cast<float4*>(y) = float4{v[0], v[1], v[2], v[3]};
    return;
  }
  for (int i = 0; i < 4; ++i) {
    if (i < count) y[i] = add ? y[i] + v[i] : v[i];
  }
}

__device__ inline void store_four_bf16(const GemmOut& out, const float (&v)[4], int64_t at, int count) {
  bf16* y = static_cast<bf16*>(out.y) + at;
  const uint2 pairs{pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3])};
  if (out.vectors && count == 4) {
    *reinterpret_cast<uint2*>(y) = pairs;
    return;
  }
  for (int i = 0; i < 4; ++i) {
    if (i < count) y[i] = bf16((i < 2 ? pairs.x : pairs.y) >> (i & 1 ? 16 : 0));
  }
}

__device__ inline void store_four(const GemmOut& out, float (&v)[4], int column, int token,
                                  const float4& before) {
  const int left = out.y_cols - column, count = left < 4 ? left : 4;
  const int64_t at = int64_t(token) * out.y_stride + column;
  if (count <= 0) return;
  if (out.y_dtype == DType::kF32) {
    store_four_f32(out, v, at, count, before);
  } else {
    store_four_bf16(out, v, at, count);
  }
}

// Features f … f + 3 of one token, from their sums.
__device__ inline void finish_four(const GemmOut& out, float (&v)[4], int f, int token,
                                   const float4& before) {
  if (f >= out.y_cols || token >= out.rows) return;
  scale_four(out, v, f);
  if (out.epilogue == Epilogue::kGelu) {
#pragma unroll
    for (int i = 0; i < 4; ++i) v[i] = gelu(v[i]);
  }
  if (out.epilogue == Epilogue::kRelu) {
#pragma unroll
    for (int i = 0; i < 4; ++i) v[i] = v[i] < 0 ? 0 : v[i];
  }
  store_four(out, v, f, token, before);
}

// Gates are features f … f + 3, their ups stand 8 behind.
__device__ inline void finish_four_gated(const GemmOut& out, float (&gate)[4], float (&up)[4], int f,
                                         int token) {
  const int column = f / 16 * 8 + f % 8;
  if (column >= out.y_cols || token >= out.rows) return;
  scale_four(out, gate, f);
  scale_four(out, up, f + 8);
#pragma unroll
  for (int i = 0; i < 4; ++i) gate[i] = silu(gate[i]) * up[i];
  store_four(out, gate, column, token, float4{0, 0, 0, 0});
}

__device__ inline void load_four(float (&v)[4], const float* from) {
  const float4 four = *reinterpret_cast<const float4*>(from);
  v[0] = four.x, v[1] = four.y, v[2] = four.z, v[3] = four.w;
}

constexpr int kWarpFeatures = 16;
constexpr int kSliceTokens = 32;
constexpr int kSliceStride = kWarpFeatures + 4;  // floats: no two lanes meet in a bank

// What a warp needs of shared memory, 16-byte aligned.
constexpr int slice_floats(int tokens) {
  return (tokens < kSliceTokens ? tokens : kSliceTokens) * kSliceStride;
}

// The lane's part of a slice, several tokens at once: four features of kTokens / 8 tokens, or, where gate and up stand
// side by side, four of each of kTokens / 16.
template <int kTokens>
struct SliceParts {
  static constexpr int kPlain = kTokens / 8, kGated = kTokens < 16 ? 1 : kTokens / 16;
  float4 before[kPlain];

  __device__ void load(const GemmOut& out, int f0, int t0) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < kPlain; ++i) before[i] = load_before(out, f0 + lane % 4 * 4, t0 + lane / 4 + 8 * i);
  }
  __device__ void finish(const GemmOut& out, const float* slice, int f0, int t0) const {
    const int lane = threadIdx.x % 32;
    if (out.epilogue == Epilogue::kSwiglu) {
      const int f = lane % 2 * 4;
#pragma unroll
      for (int i = 0; i < kGated; ++i) {
        const int t = lane / 2 + 16 * i;
        float gate[4], up[4];
        if (t >= kTokens) return;
        load_four(gate, slice + t * kSliceStride + f);
        load_four(up, slice + t * kSliceStride + 8 + f);
        finish_four_gated(out, gate, up, f0 + f, t0 + t);
      }
      return;
    }
    const int f = lane % 4 * 4;
#pragma unroll
    for (int i = 0; i < kPlain; ++i) {
      const int t = lane / 4 + 8 * i;
      float v[4];
      load_four(v, slice + t * kSliceStride + f);
      finish_four(out, v, f0 + f, t0 + t, before[i]);
    }
  }
};

// sums as mma.sync and wgmma leave them: with g = lane / 4, t = lane % 4, sums[4 n + i] is feature f0 + g + 8 (i / 2),
// token t0 + 8 n + 2 t + i % 2. All lanes of the warp call; `slice` is the warp's own.
template <int kSums>
__device__ inline void finish_warp(const GemmOut& out, const float (&sums)[kSums], float* slice, int f0,
                                   int t0) {
  constexpr int kTokens = kSums * 2, kSlice = kTokens < kSliceTokens ? kTokens : kSliceTokens;
  static_assert(kTokens % kSlice == 0);
  const int lane = threadIdx.x % 32;
  SliceParts<kSlice> parts;
  parts.load(out, f0, t0);
#pragma unroll
  for (int first = 0; first < kTokens; first += kSlice) {
    if (t0 + first >= out.rows) break;
#pragma unroll
    for (int n = 0; n < kSlice / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        slice[(n * 8 + lane % 4 * 2 + (i & 1)) * kSliceStride + lane / 4 + (i >> 1) * 8] =
            sums[(first / 8 + n) * 4 + i];
      }
    }
    SliceParts<kSlice> next;
    if (first + kSlice < kTokens) next.load(out, f0, t0 + first + kSlice);
    __syncwarp();
    parts.finish(out, slice, f0, t0 + first);
    __syncwarp();
    if (first + kSlice < kTokens) parts = next;
  }
}

// Tiles in the order that keeps w and x in L2: bands of 16 feature tiles, in them token tiles, in them features.
struct TilePlace {
  int feature, token;
};
__device__ inline TilePlace tile_place(int tile, int feature_tiles, int token_tiles) {
  constexpr int kBand = 16;
  const int band = tile / (kBand * token_tiles), inside = tile - band * kBand * token_tiles;
  const int left = feature_tiles - band * kBand, width = left < kBand ? left : kBand;
  return {band * kBand + inside % width, inside / width};
}

}  // namespace mmprm::cuda
