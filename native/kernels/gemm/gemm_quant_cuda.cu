#include "kernels/gemm/gemm_epilogue.cuh"
#include "kernels/gemm/gemm_quant_cuda.h"

namespace mmprm::cuda {
namespace {

constexpr int kFeatures = 64, kThreads = 128, kStages = 4;
constexpr int kNumberRow = kQuantDepth + 16;  // a padded row of bytes: ldmatrix meets no bank twice

// Activations as prepared: bytes by row, units by group.
struct Prepared {
  int8_t* high;
  uint8_t* low;
  float* units;  // [groups][padded rows]
  int padded_K, padded_rows;
};

Prepared prepared_in(void* scratch, const QuantWeights& w, int rows) {
  const int64_t bytes = int64_t(rows) * w.padded_K();
  auto* high = static_cast<int8_t*>(scratch);
  auto* low = reinterpret_cast<uint8_t*>(high + bytes);
  return {high, low, reinterpret_cast<float*>(low + bytes), w.padded_K(), (rows + 63) / 64 * 64};
}

// A thread has one group of one row. The unit is a power of two, 2^-14 of that below the group's largest number.
__global__ void __launch_bounds__(kThreads)
    prepare_rows(const bf16* x, int64_t stride, int K, int group, Prepared p) {
  const int g = blockIdx.y * kThreads + threadIdx.x, row = blockIdx.x;
  if (g * group >= p.padded_K) return;
  const bf16* from = x + row * stride + g * group;
  const int count = K - g * group < group ? K - g * group : group;
  uint32_t most = 0;
  for (int i = 0; i < count; ++i) {
    const uint32_t magnitude = uint32_t(from[i] & 0x7fff) << 16;
    most = magnitude > most ? magnitude : most;
  }
  constexpr uint32_t kNotFinite = 255, kBits = 14, kBias = 127;
  uint32_t exponent = most >> 23;
  const bool finite = exponent != kNotFinite;
  if (exponent <= kBits) exponent = kBits + 1;  // the unit stays a normal number
  p.units[int64_t(g) * p.padded_rows + row] =
      finite ? __uint_as_float((exponent - kBits) << 23) : __uint_as_float(0x7fc00000);
  const float inverse = finite ? __uint_as_float((2 * kBias + kBits - exponent) << 23) : 0.0f;
  const int64_t at = int64_t(row) * p.padded_K + g * group;
  for (int i = 0; i < group; ++i) {
    const int whole = i < count && finite ? __float2int_rn(widen(from[i]) * inverse) : 0;
    p.high[at + i] = int8_t(whole >> 8);
    p.low[at + i] = uint8_t(whole & 255);
  }
}

template <bool kInt4, int kTokens>
struct QuantTile {
  static constexpr int kWeightBytes = kInt4 ? kQuantDepth / 2 : kQuantDepth;
  static constexpr int kWeightRow = kWeightBytes + 16, kGroups = kInt4 ? 2 : 1;  // of a stage
  struct Stage {
    uint8_t w[kFeatures][kWeightRow];
    uint8_t high[kTokens][kNumberRow], low[kTokens][kNumberRow];
    float units[kGroups][kTokens < 16 ? 16 : kTokens];
  };
  union {
    Stage stages[kStages];
    float slices[kThreads / 32][slice_floats(kTokens)];
  };
};

struct QuantIn {
  const uint8_t* w;
  const float* scales;
  const uint32_t* zeros;
  int N, padded_N, rows, steps;
  int64_t row_bytes;
  Prepared x;
};

template <bool kInt4, int kTokens>
__device__ inline void fetch_stage(const QuantIn& in, typename QuantTile<kInt4, kTokens>::Stage& stage,
                                   int step, int first_feature, int first_token) {
  using Tile = QuantTile<kInt4, kTokens>;
  constexpr int kParts = Tile::kWeightBytes / 16, kRowParts = kQuantDepth / 16;
  for (int i = threadIdx.x; i < kFeatures * kParts; i += kThreads) {
    const int row = i / kParts, part = i % kParts * 16, f = first_feature + row;
    const uint8_t* from = in.w + int64_t(f < in.N ? f : 0) * in.row_bytes + step * Tile::kWeightBytes + part;
    copy_async16(&stage.w[row][part], from, f < in.N);
  }
  for (int i = threadIdx.x; i < kTokens * kRowParts; i += kThreads) {
    const int row = i / kRowParts, part = i % kRowParts * 16, t = first_token + row;
    const int64_t at = int64_t(t < in.rows ? t : 0) * in.x.padded_K + step * kQuantDepth + part;
    copy_async16(&stage.high[row][part], in.x.high + at, t < in.rows);
    copy_async16(&stage.low[row][part], in.x.low + at, t < in.rows);
  }
  constexpr int kUnitParts = (kTokens < 16 ? 16 : kTokens) / 4;
  for (int i = threadIdx.x; i < Tile::kGroups * kUnitParts; i += kThreads) {
    const int g = i / kUnitParts, part = i % kUnitParts * 4;
    const int64_t group = int64_t(step) * Tile::kGroups + g;
    copy_async16(&stage.units[g][part], in.x.units + group * in.x.padded_rows + first_token + part, true);
  }
}

// The weights of 16 features and 32 k, as mma takes them.
template <bool kInt4, typename Stage>
__device__ inline void load_numbers(uint32_t (&a)[4], const Stage& stage, int f, int k, uint32_t zero_low,
                                    uint32_t zero_high) {
  const int lane = threadIdx.x % 32;
  if constexpr (kInt4) {
    // Bytes x - zero, each by itself: the top bit lends where it must, and is taken back.
    const auto less = [](uint32_t x, uint32_t zero) { return ((x | 0x80808080u) - zero) ^ 0x80808080u; };
    const uint32_t low = *reinterpret_cast<const uint32_t*>(&stage.w[f + lane / 4][k / 2 + lane % 4 * 4]);
    const uint32_t high =
        *reinterpret_cast<const uint32_t*>(&stage.w[f + lane / 4 + 8][k / 2 + lane % 4 * 4]);
    a[0] = less(low & 0x0f0f0f0fu, zero_low);
    a[1] = less(high & 0x0f0f0f0fu, zero_high);
    a[2] = less(low >> 4 & 0x0f0f0f0fu, zero_low);
    a[3] = less(high >> 4 & 0x0f0f0f0fu, zero_high);
  } else {
    load_matrix4(a, &stage.w[f + lane % 16][k + lane / 16 * 16]);
  }
}

// Sums of one group become floats and join the chain.
__device__ inline void join(float* sums, const int (&d)[4], float scale_low, float scale_high, float unit0,
                            float unit1) {
  sums[0] = __fmaf_rn(float(d[0]), scale_low * unit0, sums[0]);
  sums[1] = __fmaf_rn(float(d[1]), scale_low * unit1, sums[1]);
  sums[2] = __fmaf_rn(float(d[2]), scale_high * unit0, sums[2]);
  sums[3] = __fmaf_rn(float(d[3]), scale_high * unit1, sums[3]);
}

template <bool kInt4, int kTokens>
__device__ inline void multiply_stage(const QuantIn& in,
                                      const typename QuantTile<kInt4, kTokens>::Stage& stage, int step, int f,
                                      int first_feature, float (&sums)[kTokens / 2]) {
  using Tile = QuantTile<kInt4, kTokens>;
  const int lane = threadIdx.x % 32, t = lane % 4 * 2, n0 = first_feature + f + lane / 4;
  uint32_t a[2][4];
  float scales[Tile::kGroups][2];
#pragma unroll
  for (int g = 0; g < Tile::kGroups; ++g) {
    uint32_t zeros[2] = {};
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int n = n0 + 8 * r;
      const int64_t at = (int64_t(step) * Tile::kGroups + g) * in.padded_N + n;
      scales[g][r] = n < in.N ? in.scales[at] : 0;
      if constexpr (kInt4) zeros[r] = n < in.N ? in.zeros[at] : 0;
    }
    if constexpr (kInt4) load_numbers<kInt4>(a[g], stage, f, g * 32, zeros[0], zeros[1]);
  }
  if constexpr (!kInt4) {
    load_numbers<kInt4>(a[0], stage, f, 0, 0, 0);
    load_numbers<kInt4>(a[1], stage, f, 32, 0, 0);
  }
#pragma unroll
  for (int n = 0; n < kTokens; n += 8) {
    uint32_t high[4], low[4];
    load_matrix4(high, &stage.high[n + lane % 8][lane / 8 * 16]);
    load_matrix4(low, &stage.low[n + lane % 8][lane / 8 * 16]);
    if constexpr (kInt4) {
#pragma unroll
      for (int g = 0; g < 2; ++g) {
        int d[4] = {};
        mma_s8s8(d, a[g], high[2 * g], high[2 * g + 1]);
#pragma unroll
        for (int& v : d) v = int(uint32_t(v) << 8);
        mma_s8u8(d, a[g], low[2 * g], low[2 * g + 1]);
        join(&sums[n / 2], d, scales[g][0], scales[g][1], stage.units[g][n + t], stage.units[g][n + t + 1]);
      }
    } else {
      int d[4] = {};
      mma_s8s8(d, a[0], high[0], high[1]);
      mma_s8s8(d, a[1], high[2], high[3]);
#pragma unroll
      for (int& v : d) v = int(uint32_t(v) << 8);
      mma_s8u8(d, a[0], low[0], low[1]);
      mma_s8u8(d, a[1], low[2], low[3]);
      join(&sums[n / 2], d, scales[0][0], scales[0][1], stage.units[0][n + t], stage.units[0][n + t + 1]);
    }
  }
}

template <bool kInt4, int kTokens>
__global__ void __launch_bounds__(kThreads) gemm_whole(QuantIn in, GemmOut out) {
  using Tile = QuantTile<kInt4, kTokens>;
  Tile& tile = *dynamic_shared<Tile>();
  const int warp = threadIdx.x / 32, f = warp * 16, first_feature = blockIdx.x * kFeatures,
            first_token = blockIdx.y * kTokens;
  float sums[kTokens / 2] = {};
  for (int s = 0; s < kStages - 1; ++s) {
    if (s < in.steps) fetch_stage<kInt4, kTokens>(in, tile.stages[s], s, first_feature, first_token);
    copy_commit();
  }
  for (int s = 0; s < in.steps; ++s) {
    copy_wait<kStages - 2>();
    __syncthreads();
    const int ahead = s + kStages - 1;
    if (ahead < in.steps)
      fetch_stage<kInt4, kTokens>(in, tile.stages[ahead % kStages], ahead, first_feature, first_token);
    copy_commit();
    multiply_stage<kInt4, kTokens>(in, tile.stages[s % kStages], s, f, first_feature, sums);
  }
  copy_wait<0>();
  __syncthreads();
  finish_warp(out, sums, tile.slices[warp], first_feature + f, first_token);
}

template <bool kInt4, int kTokens>
cudaError_t run(const GemmProblem& problem, const QuantIn& in, cudaStream_t stream) {
  using Tile = QuantTile<kInt4, kTokens>;
  const cudaError_t allowed = allow_shared(gemm_whole<kInt4, kTokens>, sizeof(Tile));
  if (allowed != cudaSuccess) return allowed;
  const dim3 grid((in.N + kFeatures - 1) / kFeatures, (in.rows + kTokens - 1) / kTokens);
  return launch(gemm_whole<kInt4, kTokens>, grid, dim3(kThreads), sizeof(Tile), stream, in, GemmOut(problem));
}

template <bool kInt4>
cudaError_t run(const GemmProblem& problem, const QuantIn& in, int tokens, cudaStream_t stream) {
  switch (tokens) {
    case 8:
      return run<kInt4, 8>(problem, in, stream);
    case 16:
      return run<kInt4, 16>(problem, in, stream);
    case 32:
      return run<kInt4, 32>(problem, in, stream);
    case 64:
      return run<kInt4, 64>(problem, in, stream);
    default:
      return cudaErrorInvalidValue;
  }
}

}  // namespace

size_t quant_scratch_bytes(const QuantWeights& w, int rows) {
  return size_t(2) * rows * w.padded_K() + size_t(w.groups()) * ((rows + 63) / 64 * 64) * sizeof(float);
}

int quant_tokens(int rows) { return rows <= 8 ? 8 : rows <= 16 ? 16 : rows <= 32 ? 32 : 64; }

cudaError_t gemm_quant(const GemmProblem& problem, const QuantWeights& w, void* scratch, int tokens,
                       cudaStream_t stream) {
  const Prepared x = prepared_in(scratch, w, problem.rows);
  const dim3 grid(problem.rows, (w.groups() + kThreads - 1) / kThreads);
  // Units of rows that do not exist are read, and meet sums of zero.
  cudaError_t e = cudaMemsetAsync(x.units, 0, size_t(w.groups()) * x.padded_rows * sizeof(float), stream);
  if (e == cudaSuccess) {
    e = launch(prepare_rows, grid, dim3(kThreads), 0, stream, static_cast<const bf16*>(problem.x),
               problem.x_stride, w.K, w.group(), x);
  }
  if (e != cudaSuccess) return e;
  const QuantIn in{
      w.numbers,     w.scales, w.zeros, w.N, w.padded_N(), problem.rows, w.padded_K() / kQuantDepth,
      w.row_bytes(), x};
  return w.dtype == DType::kInt4 ? run<true>(problem, in, tokens, stream)
                                 : run<false>(problem, in, tokens, stream);
}

cudaError_t gemm_quant(const GemmProblem& problem, const QuantWeights& w, void* scratch,
                       cudaStream_t stream) {
  return gemm_quant(problem, w, scratch, quant_tokens(problem.rows), stream);
}

}  // namespace mmprm::cuda
