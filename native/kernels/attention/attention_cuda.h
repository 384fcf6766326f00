// attention on CUDA. See AttentionOp; attention_work.h says who computes what.
//
// INVARIANT: chunks of kChunkTokens keys at absolute positions, each from zero, merged strictly from left to right. BF16
// pages: inside a chunk, blocks of 64 keys from left to right, each with one maximum per row; what came before is scaled
// to it. WHY blocks: the scores of a whole chunk do not fit into registers beside the values. Products take 16 elements at
// a time, by mma.sync or wgmma: the same bits. Weights are rounded to bf16, their sum is not. F32 pages: one maximum per
// chunk and chains of fma, for parity.
#pragma once
#include "cuda/plan.h"
#include "kernels/attention/attention_work.h"
#include "kernels/gemm/gemm_cuda.h"

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

enum class AttendKernel : uint8_t {
  kChain,  // F32 pages
  kMma,    // cp.async and mma.sync: sm_80 and later
  kWgmma,  // TMA and wgmma: sm_90a, heads of 64 and 128
};
// Depends on its arguments alone.
AttendKernel attend_kernel(ChipClass chip, DType pages, int padded_D);

cudaError_t attention(const AttentionOp& op, const DevicePlan& plan, const DevicePages& pages,
                      const DeviceAttendWork& work, AttendKernel kernel, int multiprocessors,
                      cudaStream_t stream);

}  // namespace mmprm::cuda
