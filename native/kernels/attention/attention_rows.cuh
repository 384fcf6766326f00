// attention on BF16 pages, what its two kernels share: a warp's 16 query rows, their weights, chunks that join, results.
// Sums lie as mma.sync and wgmma leave them: a thread has row lane / 4 of its warp and the one 8 below, columns
// 8 n + 2 (lane % 4) + {0, 1}. Both kernels take k in the same steps, so that they give the same bits.
#pragma once
#include "kernels/attention/attention_merge.cuh"

namespace mmprm::cuda {

constexpr int kTileKeys = 64;  // keys whose scores a thread holds at once

// What a thread knows of its two query rows: row lane / 4 of its warp, and the one 8 below.
struct QueryRow {
  AttendRow at;
  int num_keys = 0;  // 0: there is no such row
  int head = 0;

  QueryRow() = default;
  __device__ QueryRow(const Attend& a, const AttendItem& item, int g, int p) {
    const int i = p / a.heads_per_G;
    if (i >= item.num_rows) return;
    at = a.work.rows[item.first_row + i];
    num_keys = a.keys_T[at.row].num_keys;
    head = g * a.heads_per_G + p % a.heads_per_G;
  }
  // Keys from a chunk's beginning on: of its keys the row sees those before `visible`, from visible - window on.
  __device__ int visible(int chunk) const { return num_keys - chunk * kChunkTokens; }
};

// Elements d … d + 7 of query row p of an item, zeros where there is none.
__device__ inline uint4 query_chunk(const Attend& a, const AttendItem& item, int g, int p, int d) {
  const int D = a.pages.head_dim_D, token = p / a.heads_per_G;
  if (token >= item.num_rows) return uint4{0, 0, 0, 0};
  const bf16* q = static_cast<const bf16*>(a.q) +
                  int64_t(a.work.rows[item.first_row + token].row) * a.q_stride +
                  (g * a.heads_per_G + p % a.heads_per_G) * D + d;
  if (D % 8 == 0 && a.q_stride % 8 == 0) {
    return d < D ? *reinterpret_cast<const uint4*>(q) : uint4{0, 0, 0, 0};
  }
  uint32_t pairs[4] = {};
#pragma unroll
  for (int j = 0; j < 8; ++j) {
    if (d + j < D) pairs[j / 2] |= uint32_t(q[j]) << (j & 1 ? 16 : 0);
  }
  return uint4{pairs[0], pairs[1], pairs[2], pairs[3]};
}

// What a thread has of its two rows in one chunk so far. Maxima in powers of two; `sum` is the thread's own columns'.
template <int kD>
struct ChunkState {
  float o[kD / 8][4] = {};
  float max[2] = {}, sum[2] = {};
};

// Scores become weights, in place; `old`: by what the values so far are to be scaled, as scale_values does.
// A thread has columns 8 n + 2 (lane % 4) + {0, 1} of both its rows, of which those in [visible - window, visible) count.
template <int kD>
__device__ inline void weigh(float (&s)[kTileKeys / 8][4], const int (&visible)[2], int window,
                             bool first_tile, float (&old)[2], ChunkState<kD>& state) {
  constexpr int kColumns = kTileKeys / 8;
  const int first = threadIdx.x % 4 * 2;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (visible[r] < kTileKeys || visible[r] > window) {
#pragma unroll
      for (int n = 0; n < kColumns; ++n) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          if (uint32_t(visible[r] - 1 - (n * 8 + first + i)) >= uint32_t(window)) s[n][2 * r + i] = kUnseen;
        }
      }
    }
    float highest = kUnseen;
#pragma unroll
    for (int n = 0; n < kColumns; ++n) highest = fmaxf(highest, fmaxf(s[n][2 * r], s[n][2 * r + 1]));
#pragma unroll
    for (int x = 1; x <= 2; x *= 2) highest = fmaxf(highest, __shfl_xor_sync(~0u, highest, x));
    // A row that sees none of the tile's keys gets weights of zero, and the least maximum there is.
    const float tile_max = fmaxf(highest * kLog2E, kUnseen);
    const float max = first_tile || tile_max > state.max[r] ? tile_max : state.max[r];
    old[r] = first_tile ? 1.0f : exp2_nonpositive(state.max[r] - max);
    float sum = state.sum[r] * old[r];
#pragma unroll
    for (int n = 0; n < kColumns; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float& weight = s[n][2 * r + i];
        weight = exp2_nonpositive(__fmaf_rn(weight, kLog2E, -max));
        sum = sum + weight;
      }
    }
    state.max[r] = max;
    state.sum[r] = sum;
  }
}

// A tile's weights, rounded to bf16, as products take them: a[k] is 16 keys. Their sum takes them unrounded.
struct Weights {
  uint32_t a[kTileKeys / 16][4];

  __device__ explicit Weights(const float (&weights)[kTileKeys / 8][4]) {
#pragma unroll
    for (int n = 0; n < kTileKeys / 8; ++n) {
#pragma unroll
      for (int r = 0; r < 2; ++r)
        a[n / 2][n % 2 * 2 + r] = pack_bf16(weights[n][2 * r], weights[n][2 * r + 1]);
    }
  }
};

// What the chunk has so far, scaled to the maximum that weigh found.
template <int kD>
__device__ inline void scale_values(ChunkState<kD>& state, const float (&old)[2]) {
#pragma unroll
  for (int n = 0; n < kD / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) state.o[n][i] = state.o[n][i] * old[i / 2];
  }
}

// The end of a chunk: a row's sum over all of its columns.
template <int kD>
__device__ inline void sum_columns(ChunkState<kD>& state) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
#pragma unroll
    for (int x = 1; x <= 2; x *= 2) state.sum[r] = state.sum[r] + __shfl_xor_sync(~0u, state.sum[r], x);
  }
}

template <int kD>
__device__ inline void merge_chunk(const QueryRow (&rows)[2], int chunk, ChunkState<kD>& whole,
                                   const ChunkState<kD>& fresh) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (rows[r].visible(chunk) <= 0) continue;
    const MergeFactors merge(whole.max[r], fresh.max[r]);
#pragma unroll
    for (int n = 0; n < kD / 8; ++n) {
      whole.o[n][2 * r] = merge.join(whole.o[n][2 * r], fresh.o[n][2 * r]);
      whole.o[n][2 * r + 1] = merge.join(whole.o[n][2 * r + 1], fresh.o[n][2 * r + 1]);
    }
    whole.sum[r] = merge.join(whole.sum[r], fresh.sum[r]);
    whole.max[r] = merge.max;
  }
}

template <int kD>
__device__ inline void write_rows(const Attend& a, const QueryRow (&rows)[2], const ChunkState<kD>& state) {
  const int D = a.pages.head_dim_D, first = threadIdx.x % 4 * 2;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (rows[r].num_keys == 0) continue;
    const float scale = 1.0f / state.sum[r];
    bf16* to = static_cast<bf16*>(a.o) + int64_t(rows[r].at.out) * a.o_stride + rows[r].head * D;
#pragma unroll
    for (int n = 0; n < kD / 8; ++n) {
      // D is even.
      if (n * 8 + first < D) {
        *reinterpret_cast<uint32_t*>(to + n * 8 + first) =
            pack_bf16(finished(state.o[n][2 * r], scale), finished(state.o[n][2 * r + 1], scale));
      }
    }
  }
}

template <int kD>
__device__ inline void write_partials(const Attend& a, const AttendItem& item, const QueryRow (&rows)[2],
                                      const ChunkState<kD>& state) {
  const int first = threadIdx.x % 4 * 2;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (rows[r].num_keys == 0) continue;
    const int64_t part = int64_t(rows[r].at.partials + item.first_chunk) * a.heads_H + rows[r].head;
#pragma unroll
    for (int n = 0; n < kD / 8; ++n) {
      *reinterpret_cast<float2*>(a.work.partial_o + part * kD + n * 8 + first) =
          float2{state.o[n][2 * r], state.o[n][2 * r + 1]};
    }
    if (threadIdx.x % 4 == 0) a.work.partial_ml[part] = float2{state.max[r], state.sum[r]};
  }
}

template <int kD>
__device__ inline void write_item(const Attend& a, const AttendItem& item, const QueryRow (&rows)[2],
                                  const ChunkState<kD>& state) {
  if (item.partial) {
    write_partials(a, item, rows, state);
  } else {
    write_rows(a, rows, state);
  }
}

// A block has one query head of one row: its chunks' partial results, from left to right.
__global__ void merge_partials(Attend a) {
  const int D = a.pages.head_dim_D, kD = a.pages.padded_D, head = blockIdx.y, d = threadIdx.x;
  if (int(blockIdx.x) >= *a.work.num_merges || d >= D) return;
  const AttendRow row = a.work.merges[blockIdx.x];
  const int num_keys = a.keys_T[row.row].num_keys, first = a.first_chunk(num_keys),
            end = (num_keys + kChunkTokens - 1) / kChunkTokens;
  float o = 0, max = 0, sum = 0;
  for (int c = first; c < end; ++c) {
    const int64_t part = int64_t(row.partials + c) * a.heads_H + head;
    const float2 ml = a.work.partial_ml[part];
    const float fresh = a.work.partial_o[part * kD + d];
    const MergeFactors merge(c == first ? ml.x : max, ml.x);
    o = c == first ? fresh : merge.join(o, fresh);
    sum = c == first ? ml.y : merge.join(sum, ml.y);
    max = merge.max;
  }
  static_cast<bf16*>(a.o)[int64_t(row.out) * a.o_stride + head * D + d] =
      bf16(pack_bf16(finished(o, 1.0f / sum), 0));
}

}  // namespace mmprm::cuda
