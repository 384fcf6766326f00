// Elements of rows on the device, and sums over a block in one fixed order.
#pragma once
#include "cuda/ptx.h"
#include "include/engine/types.h"

namespace mmprm::cuda {

// Of an F16 number's bits.
__device__ inline float widen_f16(uint32_t h) {
  const uint32_t sign = (h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 1023;
  if (exponent == 0) {
    const float magnitude = float(int(mantissa)) * 0x1p-24f;
    return __uint_as_float(__float_as_uint(magnitude) | sign);
  }
  return __uint_as_float(sign | (exponent == 31 ? 255u : exponent + 112) << 23 | mantissa << 13);
}

__device__ inline float load_as_f32(const void* data, DType dtype, int64_t i) {
  if (dtype == DType::kF32) return static_cast<const float*>(data)[i];
  const uint16_t bits = static_cast<const uint16_t*>(data)[i];
  return dtype == DType::kBF16 ? widen(bits) : widen_f16(bits);
}

// `dtype`: F32 or BF16.
__device__ inline void store_from_f32(void* data, DType dtype, int64_t i, float v) {
  if (dtype == DType::kF32) {
    static_cast<float*>(data)[i] = v;
  } else {
    static_cast<bf16*>(data)[i] = bf16(pack_bf16(v, 0));
  }
}

// Sum over the 32 lanes; all of them receive it. Each step adds the same two numbers on both sides.
template <typename T>
__device__ inline T sum_of_warp(T v) {
#pragma unroll
  for (int x = 16; x > 0; x /= 2) v = v + __shfl_xor_sync(~0u, v, x);
  return v;
}

// Sum over a block of kWarps warps, by warp, then over warps in order; all threads receive it. `parts`: kWarps numbers of
// shared memory, free again after the next barrier.
template <int kWarps, typename T>
__device__ inline T sum_of_block(T v, T* parts) {
  v = sum_of_warp(v);
  __syncthreads();
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
  __syncthreads();
  T sum = parts[0];
#pragma unroll
  for (int w = 1; w < kWarps; ++w) sum = sum + parts[w];
  return sum;
}

}  // namespace mmprm::cuda
