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

// call.operator()<kEpilogue>() for the epilogue that is asked for, on the host or on the device.
#pragma nv_exec_check_disable
template <typename Call>
__host__ __device__ inline auto with_epilogue(Epilogue epilogue, const Call& call) {
  switch (epilogue) {
    case Epilogue::kAccumulate:
      return call.template operator()<Epilogue::kAccumulate>();
    case Epilogue::kGelu:
      return call.template operator()<Epilogue::kGelu>();
    case Epilogue::kGeluTanh:
      return call.template operator()<Epilogue::kGeluTanh>();
    case Epilogue::kRelu:
      return call.template operator()<Epilogue::kRelu>();
    case Epilogue::kSwiglu:
      return call.template operator()<Epilogue::kSwiglu>();
    case Epilogue::kStore:
      break;
  }
  return call.template operator()<Epilogue::kStore>();
}

__device__ inline void load_four(float (&v)[4], const float* from) {
  const float4 four = *reinterpret_cast<const float4*>(from);
  v[0] = four.x, v[1] = four.y, v[2] = four.z, v[3] = four.w;
}

// Bias and scale of four features f … f + 3; f is a multiple of 4.
struct FourScales {
  bool biased = false, scaled = false;
  float bias[4] = {}, scale[4] = {};

  __device__ void load(const GemmOut& out, int f) {
    biased = out.bias_N, scaled = out.column_scale_N;
    if (biased) load_four(bias, out.bias_N + f);
    if (scaled) load_four(scale, out.column_scale_N + f);
  }
  __device__ void apply(float (&v)[4]) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (biased) v[i] += bias[i];
      if (scaled) v[i] *= scale[i];
    }
  }
};

// Four columns of y in row after row. What depends on the columns alone is asked once, before the first row.
template <Epilogue kEpilogue, typename Y>
struct FourColumns {
  static constexpr bool kGated = kEpilogue == Epilogue::kSwiglu;
  FourScales scales, up_scales;
  Y* first = nullptr;  // of row 0
  int64_t stride = 0;
  int count = 0;          // how many of the four exist
  bool together = false;  // all four, and written at once

  // f: of the first of four features; of gates, where gates and ups stand 8 apart.
  __device__ FourColumns(const GemmOut& out, int f) {
    const int column = kGated ? f / 16 * 8 + f % 8 : f, left = out.y_cols - column;
    count = left < 4 ? left : 4;
    if (count <= 0) return;
    scales.load(out, f);
    if constexpr (kGated) up_scales.load(out, f + 8);
    first = static_cast<Y*>(out.y) + column;
    stride = out.y_stride;
    together = out.vectors && count == 4;
  }
  // y as it was, for kAccumulate. WHY apart from the addition: the memory answers while other work is done.
  __device__ float4 before(int row, int rows) const {
    if constexpr (kEpilogue == Epilogue::kAccumulate) {
      if (together && row < rows) return *reinterpret_cast<const float4*>(first + int64_t(row) * stride);
    }
    return float4{0, 0, 0, 0};
  }
  __device__ void finish(float (&v)[4], int row, int rows, const float4& before) const {
    if (count <= 0 || row >= rows) return;
    scales.apply(v);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if constexpr (kEpilogue == Epilogue::kGelu) v[i] = gelu(v[i]);
      if constexpr (kEpilogue == Epilogue::kGeluTanh) v[i] = gelu_tanh(v[i]);
      if constexpr (kEpilogue == Epilogue::kRelu) v[i] = v[i] < 0 ? 0 : v[i];
    }
    store(v, first + int64_t(row) * stride, before);
  }
  __device__ void finish_gated(float (&gate)[4], float (&up)[4], int row, int rows) const {
    if (count <= 0 || row >= rows) return;
    scales.apply(gate);
    up_scales.apply(up);
#pragma unroll
    for (int i = 0; i < 4; ++i) gate[i] = silu(gate[i]) * up[i];
    store(gate, first + int64_t(row) * stride, float4{0, 0, 0, 0});
  }

 private:
  __device__ void store(float (&v)[4], Y* y, const float4& before) const {
    constexpr bool kAdd = kEpilogue == Epilogue::kAccumulate;
    if (together) {
      if constexpr (kAdd) {
        v[0] = before.x + v[0], v[1] = before.y + v[1], v[2] = before.z + v[2], v[3] = before.w + v[3];
      }
      if constexpr (sizeof(Y) == 4) {
        *reinterpret_cast<float4*>(y) = float4{v[0], v[1], v[2], v[3]};
      } else {
        *reinterpret_cast<uint2*>(y) = uint2{pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3])};
      }
      return;
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (i >= count) continue;
      if constexpr (sizeof(Y) == 4) {
        y[i] = kAdd ? y[i] + v[i] : v[i];
      } else {
        y[i] = bf16(pack_bf16(v[i], 0));
      }
    }
  }
};

constexpr int kWarpFeatures = 16;
constexpr int kSliceTokens = 32;
constexpr int kSliceStride = kWarpFeatures + 4;  // floats: no two lanes meet in a bank

// What a warp needs of shared memory, 16-byte aligned.
constexpr int slice_floats(int tokens) {
  return (tokens < kSliceTokens ? tokens : kSliceTokens) * kSliceStride;
}

// sums as mma.sync and wgmma leave them: with g = lane / 4, t = lane % 4, sums[4 n + i] is feature f0 + g + 8 (i / 2),
// token t0 + 8 n + 2 t + i % 2. All lanes of the warp call; `slice` is the warp's own.
template <Epilogue kEpilogue, typename Y, int kSums>
__device__ inline void finish_sums(const GemmOut& out, const float (&sums)[kSums], float* slice, int f0,
                                   int t0) {
  constexpr int kTokens = kSums * 2, kSlice = kTokens < kSliceTokens ? kTokens : kSliceTokens;
  static_assert(kTokens % kSlice == 0);
  constexpr bool kGated = kEpilogue == Epilogue::kSwiglu;
  // A lane's part of a slice: four features of every eighth token, or four gates and their ups of every sixteenth.
  constexpr int kStep = kGated ? 16 : 8, kParts = (kSlice + kStep - 1) / kStep;
  const int lane = threadIdx.x % 32, f = kGated ? lane % 2 * 4 : lane % 4 * 4,
            t = kGated ? lane / 2 : lane / 4;
  const FourColumns<kEpilogue, Y> columns(out, f0 + f);
  float* to = slice + lane % 4 * 2 * kSliceStride + lane / 4;
  const float* from = slice + t * kSliceStride + f;
  float4 before[kParts];
#pragma unroll
  for (int i = 0; i < kParts; ++i) before[i] = columns.before(t0 + t + kStep * i, out.rows);
#pragma unroll
  for (int first = 0; first < kTokens; first += kSlice) {
    if (t0 + first >= out.rows) break;
#pragma unroll
    for (int n = 0; n < kSlice / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        to[(n * 8 + (i & 1)) * kSliceStride + (i >> 1) * 8] = sums[(first / 8 + n) * 4 + i];
      }
    }
    __syncwarp();
#pragma unroll
    for (int i = 0; i < kParts; ++i) {
      const int token = t0 + first + t + kStep * i;
      if (kSlice < kStep && t >= kSlice) continue;
      // The next slice's: asked for a slice ahead.
      const float4 next = first + kSlice < kTokens ? columns.before(token + kSlice, out.rows) : float4{};
      float v[4];
      load_four(v, from + kStep * i * kSliceStride);
      if constexpr (kGated) {
        float up[4];
        load_four(up, from + kStep * i * kSliceStride + 8);
        columns.finish_gated(v, up, token, out.rows);
      } else {
        columns.finish(v, token, out.rows, before[i]);
      }
      before[i] = next;
    }
    __syncwarp();
  }
}

// WHY the kind of y is asked once and not where it matters: each answer is one straight piece of code. With the
// questions inside, a tile of 256 tokens jumped through 300 KB of instructions, and waiting for them took a quarter of
// the kernel's time.
template <Epilogue kEpilogue, int kSums>
__device__ inline void finish_warp(const GemmOut& out, const float (&sums)[kSums], float* slice, int f0,
                                   int t0) {
  if (out.y_dtype == DType::kF32) {
    finish_sums<kEpilogue, float>(out, sums, slice, f0, t0);
  } else if constexpr (kEpilogue != Epilogue::kAccumulate) {  // that is F32
    finish_sums<kEpilogue, bf16>(out, sums, slice, f0, t0);
  }
}

// The same where the kernel was not built for one epilogue.
template <int kSums>
__device__ inline void finish_warp(const GemmOut& out, const float (&sums)[kSums], float* slice, int f0,
                                   int t0) {
  with_epilogue(out.epilogue,
                [&]<Epilogue kEpilogue>() { finish_warp<kEpilogue>(out, sums, slice, f0, t0); });
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
