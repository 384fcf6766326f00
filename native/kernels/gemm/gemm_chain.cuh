// gemm of F32 rows: every output is one chain of fma, k rising. For parity with fp32 references; not tuned.
#pragma once
#include "kernels/gemm/gemm_epilogue.cuh"

namespace mmprm::cuda {

struct ChainShape {
  static constexpr int kFeatures = 64, kTokens = 32, kDepth = 16, kThreads = 256;
  struct Tile {
    float w[kDepth][kFeatures + 4];
    float x[kTokens][kDepth + 1];
  };
};

struct ChainIn {
  const float *w, *x;
  int64_t w_stride, x_stride;
  int N, K, rows;
};

// A thread has one token and features f … f + 3 and f + 8 … f + 11: where gates and ups alternate by eights, both.
// `low`: features n … n + 3 of token t, `high`: those 8 behind.
template <Epilogue kEpilogue, typename Y>
__device__ inline void finish_chain_as(const GemmOut& out, float (&low)[4], float (&high)[4], int n, int t) {
  const FourColumns<kEpilogue, Y> columns(out, n);
  if constexpr (kEpilogue == Epilogue::kSwiglu) {
    columns.finish_gated(low, high, t, out.rows);
  } else {
    const FourColumns<kEpilogue, Y> behind(out, n + 8);
    columns.finish(low, t, out.rows, columns.before(t, out.rows));
    behind.finish(high, t, out.rows, behind.before(t, out.rows));
  }
}
template <Epilogue kEpilogue>
__device__ inline void finish_chain(const GemmOut& out, float (&low)[4], float (&high)[4], int n, int t) {
  if (out.y_dtype == DType::kF32) {
    finish_chain_as<kEpilogue, float>(out, low, high, n, t);
  } else if constexpr (kEpilogue != Epilogue::kAccumulate) {
    finish_chain_as<kEpilogue, bf16>(out, low, high, n, t);
  }
}

__global__ void __launch_bounds__(ChainShape::kThreads) gemm_chain(ChainIn in, GemmOut out) {
  using Shape = ChainShape;
  Shape::Tile& tile = *dynamic_shared<Shape::Tile>();
  const int thread = threadIdx.x, token = thread / 8, f = thread % 8 / 2 * 16 + thread % 2 * 4;
  const int first_feature = blockIdx.x * Shape::kFeatures, first_token = blockIdx.y * Shape::kTokens;
  float low[4] = {}, high[4] = {};
  for (int k0 = 0; k0 < in.K; k0 += Shape::kDepth) {
    for (int i = thread; i < Shape::kFeatures * Shape::kDepth; i += Shape::kThreads) {
      const int row = i / Shape::kDepth, k = i % Shape::kDepth, n = first_feature + row;
      tile.w[k][row] = n < in.N && k0 + k < in.K ? in.w[int64_t(n) * in.w_stride + k0 + k] : 0;
    }
    for (int i = thread; i < Shape::kTokens * Shape::kDepth; i += Shape::kThreads) {
      const int row = i / Shape::kDepth, k = i % Shape::kDepth, t = first_token + row;
      tile.x[row][k] = t < in.rows && k0 + k < in.K ? in.x[int64_t(t) * in.x_stride + k0 + k] : 0;
    }
    __syncthreads();
    const int depth = in.K - k0 < Shape::kDepth ? in.K - k0 : Shape::kDepth;
    for (int k = 0; k < depth; ++k) {
      const float x = tile.x[token][k];
      float w[4];
      load_four(w, &tile.w[k][f]);
#pragma unroll
      for (int i = 0; i < 4; ++i) low[i] = __fmaf_rn(w[i], x, low[i]);
      load_four(w, &tile.w[k][f + 8]);
#pragma unroll
      for (int i = 0; i < 4; ++i) high[i] = __fmaf_rn(w[i], x, high[i]);
    }
    __syncthreads();
  }
  const int t = first_token + token, n = first_feature + f;
  if (t >= in.rows) return;
  with_epilogue(out.epilogue, [&]<Epilogue kEpilogue>() { finish_chain<kEpilogue>(out, low, high, n, t); });
}

}  // namespace mmprm::cuda
