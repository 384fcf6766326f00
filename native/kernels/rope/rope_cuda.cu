#include "cuda/rows.h"
#include "kernels/rope/rope_cuda.h"

namespace mmprm::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kMaxPairs = 4;  // of a lane: heads of at most 256

struct Rope {
  const float *qkv, *angles;
  void* q;
  int64_t qkv_stride, angles_stride, q_stride;
  const int32_t *positions_T, *slot_begin_T1;
  const Slot* slots;
  const float *q_norm_D, *k_norm_D;  // null: none
  DevicePages pages;
  int layer, heads_H, first_row;
  float q_scale, norm_eps;
};

// Elements i and i + D/2 of a head, for the i of this lane: i = lane, lane + 32 …
struct HeadPairs {
  float low[kMaxPairs], high[kMaxPairs];
  int half;

  __device__ HeadPairs(const float* x, int D) : half(D / 2) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int j = 0; j < kMaxPairs; ++j) {
      const int i = lane + 32 * j;
      low[j] = high[j] = 0;
      if (i < half) low[j] = x[i], high[j] = x[i + half];
    }
  }
  __device__ void normalise(const float* weight_D, float eps) {
    float squares = 0;
#pragma unroll
    for (int j = 0; j < kMaxPairs; ++j) {
      squares = __fmaf_rn(low[j], low[j], squares);
      squares = __fmaf_rn(high[j], high[j], squares);
    }
    const float scale = 1.0f / __fsqrt_rn(sum_of_warp(squares) / float(2 * half) + eps);
#pragma unroll
    for (int j = 0; j < kMaxPairs; ++j) {
      const int i = threadIdx.x % 32 + 32 * j;
      if (i < half) low[j] = low[j] * scale * weight_D[i], high[j] = high[j] * scale * weight_D[i + half];
    }
  }
  __device__ void rotate(const float* cos_sin) {
#pragma unroll
    for (int j = 0; j < kMaxPairs; ++j) {
      const int i = threadIdx.x % 32 + 32 * j;
      if (i >= half) continue;
      const float c = cos_sin[i], s = cos_sin[half + i], x = low[j], y = high[j];
      low[j] = __fmaf_rn(x, c, -(y * s));
      high[j] = __fmaf_rn(y, c, x * s);
    }
  }
  __device__ void store(void* to, DType dtype, int64_t at, float scale) const {
#pragma unroll
    for (int j = 0; j < kMaxPairs; ++j) {
      const int i = threadIdx.x % 32 + 32 * j;
      if (i >= half) continue;
      store_from_f32(to, dtype, at + i, low[j] * scale);
      store_from_f32(to, dtype, at + half + i, high[j] * scale);
    }
  }
};

// A warp has one head of one row: of q, of k, or of v.
__global__ void __launch_bounds__(kWarps * 32) rope_heads(Rope r) {
  const int head = blockIdx.y * kWarps + threadIdx.x / 32, G = r.pages.heads_G, D = r.pages.head_dim_D;
  if (head >= r.heads_H + 2 * G) return;
  const int64_t row = blockIdx.x, planned = row + r.first_row;
  HeadPairs x(r.qkv + row * r.qkv_stride + int64_t(head) * D, D);
  const bool is_q = head < r.heads_H, is_k = !is_q && head < r.heads_H + G;
  if (is_q && r.q_norm_D) x.normalise(r.q_norm_D, r.norm_eps);
  if (is_k && r.k_norm_D) x.normalise(r.k_norm_D, r.norm_eps);
  if ((is_q || is_k) && r.angles) x.rotate(r.angles + r.positions_T[planned] * r.angles_stride);
  if (is_q) {
    x.store(r.q, r.pages.dtype, row * r.q_stride + int64_t(head) * D, r.q_scale);
    return;
  }
  const int g = (head - r.heads_H) % G;
  for (int i = r.slot_begin_T1[planned]; i < r.slot_begin_T1[planned + 1]; ++i) {
    const Slot slot = r.slots[i];
    // Of either dtype: elements are counted, not bytes.
    const int64_t at = r.layer * r.pages.layer_elements() + slot.page * r.pages.page_elements() +
                       (2 * g + (is_k ? 0 : 1)) * r.pages.half_elements() +
                       int64_t(slot.slot) * r.pages.padded_D;
    x.store(r.pages.data, r.pages.dtype, at, 1);
  }
}

}  // namespace

cudaError_t rope(const RopeOp& op, const DevicePlan& plan, const DevicePages& pages, cudaStream_t stream) {
  if (op.q.rows == 0) return cudaSuccess;
  if (pages.head_dim_D > 64 * kMaxPairs || pages.head_dim_D % 2 != 0) return cudaErrorInvalidValue;
  const Rope r{data_of<float>(op.qkv),
               data_of<float>(op.angles),
               data_of(op.q),
               op.qkv.stride,
               op.angles.stride,
               op.q.stride,
               plan.positions_T,
               plan.slot_begin_T1,
               plan.slots,
               data_of<float>(op.q_norm),
               data_of<float>(op.k_norm),
               pages,
               op.layer,
               op.heads_H,
               op.first_row,
               op.q_scale,
               op.norm_eps};
  const int heads = op.heads_H + 2 * pages.heads_G;
  return launch(rope_heads, dim3(op.q.rows, (heads + kWarps - 1) / kWarps), dim3(kWarps * 32), 0, stream, r);
}

}  // namespace mmprm::cuda
