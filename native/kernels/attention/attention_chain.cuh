// attention on F32 pages: chains of fma, keys and head elements rising. For parity with fp32 references; not tuned.
#pragma once
#include "cuda/rows.h"
#include "kernels/attention/attention_merge.cuh"

namespace mmprm::cuda {

constexpr int kChainHeads = 128;  // the largest head

struct ChainTile {
  float q[kChainHeads], weights[kChunkTokens];
};

// A warp has one query head of one row. Lane l scores keys l, l + 32 … of a chunk, and gathers elements l, l + 32 …
__global__ void __launch_bounds__(32) attend_chain(Attend a) {
  constexpr int kLaneKeys = kChunkTokens / 32, kLaneElements = kChainHeads / 32;
  ChainTile& tile = *dynamic_shared<ChainTile>();
  const int lane = threadIdx.x, D = a.pages.head_dim_D, kD = a.pages.padded_D, head = blockIdx.y,
            g = head / a.heads_per_G;
  if (int(blockIdx.x) >= *a.work.num_rows) return;
  const AttendRow row = a.work.all_rows[blockIdx.x];
  const KeyRun run = a.keys_T[row.row];
  for (int d = lane; d < D; d += 32)
    tile.q[d] = static_cast<const float*>(a.q)[int64_t(row.row) * a.q_stride + head * D + d];
  __syncwarp();
  float o[kLaneElements] = {}, max = 0, sum = 0;
  const int begin = a.first_chunk(run.num_keys) * kChunkTokens;
  for (int first = begin; first < run.num_keys; first += kChunkTokens) {
    const int visible = run.num_keys - first < kChunkTokens ? run.num_keys - first : kChunkTokens;
    const int hidden = run.num_keys - first > a.window ? run.num_keys - first - a.window : 0;
    const int32_t* pages = a.pages_list + run.first + first / kPageTokens;
    float s[kLaneKeys], highest = kUnseen;
#pragma unroll
    for (int i = 0; i < kLaneKeys; ++i) {
      const int key = lane + 32 * i;
      s[i] = kUnseen;
      if (hidden <= key && key < visible) {
        const float* k =
            page_half<const float>(a.pages, a.layer, pages[key / kPageTokens], g, 0) + key % kPageTokens * kD;
        s[i] = 0;
        for (int d = 0; d < D; ++d) s[i] = __fmaf_rn(tile.q[d], k[d], s[i]);
      }
      highest = s[i] > highest ? s[i] : highest;
    }
#pragma unroll
    for (int x = 16; x > 0; x /= 2) {
      const float other = __shfl_xor_sync(~0u, highest, x);
      highest = other > highest ? other : highest;
    }
    const float chunk_max = highest * kLog2E;
    float chunk_sum = 0;
#pragma unroll
    for (int i = 0; i < kLaneKeys; ++i) {
      const float weight = exp2_nonpositive(__fmaf_rn(s[i], kLog2E, -chunk_max));
      chunk_sum = chunk_sum + weight;
      tile.weights[lane + 32 * i] = weight;
    }
    chunk_sum = sum_of_warp(chunk_sum);
    __syncwarp();
    const MergeFactors merge(first == begin ? chunk_max : max, chunk_max);
#pragma unroll
    for (int j = 0; j < kLaneElements; ++j) {
      const int d = lane + 32 * j;
      float fresh = 0;
      for (int key = hidden; key < visible && d < D; ++key) {
        const float* v =
            page_half<const float>(a.pages, a.layer, pages[key / kPageTokens], g, 1) + key % kPageTokens * kD;
        fresh = __fmaf_rn(tile.weights[key], v[d], fresh);
      }
      o[j] = first == begin ? fresh : merge.join(o[j], fresh);
    }
    sum = first == begin ? chunk_sum : merge.join(sum, chunk_sum);
    max = merge.max;
    __syncwarp();
  }
  const float scale = 1.0f / sum;
#pragma unroll
  for (int j = 0; j < kLaneElements; ++j) {
    const int d = lane + 32 * j;
    if (d < D) static_cast<float*>(a.o)[int64_t(row.out) * a.o_stride + head * D + d] = finished(o[j], scale);
  }
}

}  // namespace mmprm::cuda
