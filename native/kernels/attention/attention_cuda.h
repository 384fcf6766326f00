// attention on CUDA. See AttentionOp; attention_work.h says who computes what.
//
// INVARIANT: chunks of kChunkTokens keys at absolute positions, each from zero, merged strictly from left to right. BF16
// pages: inside a chunk, blocks of 64 keys from left to right, each with one maximum per row; what came before is scaled
// to it. WHY blocks: the scores of a whole chunk do not fit into registers beside the values. Products by mma.sync
// m16n8k16, weights rounded to bf16, their sum not. F32 pages: one maximum per chunk and chains of fma, for parity.
#pragma once
#include "cuda/plan.h"
#include "kernels/attention/attention_work.h"

namespace mmprm::cuda {

// AttendWork on the device. Counts lie there too, so that a recorded step serves any work up to the most.
struct DeviceAttendWork {
  const AttendItem* items = nullptr;
  const AttendRow *rows = nullptr, *merges = nullptr;
  const AttendRow* all_rows = nullptr;  // every row once, in order: what F32 pages need
  const int32_t *num_items = nullptr, *num_merges = nullptr, *num_rows = nullptr;
  int max_rows = 0, max_merges = 0;
  float* partial_o = nullptr;    // [partials][heads_H][padded_D]
  float2* partial_ml = nullptr;  // [partials][heads_H]: maximum, sum
};

constexpr int kAttendRows = 64;  // query rows of an item: rows of the plan times query heads of a key head

cudaError_t attention(const AttentionOp& op, const DevicePlan& plan, const DevicePages& pages,
                      const DeviceAttendWork& work, int multiprocessors, cudaStream_t stream);

}  // namespace mmprm::cuda
