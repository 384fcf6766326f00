// The names that nvcc gives to a kernel's source without an include, for a C++ compiler. A name that is missing here
// does not compile: add it with CUDA's exact meaning. There is no __shared__ on purpose: shared memory is dynamic.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)
#define __grid_constant__
#define __restrict__ __restrict
#define __align__(n) alignas(n)

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

#include "emulator/device.h"

#define threadIdx (emu::current->thread_index)
#define blockIdx (emu::current->block_index)
#define blockDim (emu::current->block_size)
#define gridDim (emu::current->grid_size)
constexpr int warpSize = 32;

inline void __syncthreads() { emu::block_barrier(0, 0, true); }
inline void __syncwarp(uint32_t mask = ~0u) { emu::sync_warp(mask); }
inline void __threadfence() { emu::device_fence(); }

template <typename T>
T __shfl_sync(uint32_t mask, T v, int lane, int width = 32) {
  const int first = emu::current->lane & ~(width - 1);
  return emu::shuffle("shfl.idx", mask, v, first | (lane & (width - 1)));
}
template <typename T>
T __shfl_xor_sync(uint32_t mask, T v, int lanes, int width = 32) {
  const int me = emu::current->lane, from = me ^ lanes, end = (me & ~(width - 1)) + width;
  return emu::shuffle("shfl.bfly", mask, v, from < end ? from : me);
}
template <typename T>
T __shfl_down_sync(uint32_t mask, T v, unsigned delta, int width = 32) {
  const int me = emu::current->lane, from = me + int(delta), end = (me & ~(width - 1)) + width;
  return emu::shuffle("shfl.down", mask, v, from < end ? from : me);
}
template <typename T>
T __shfl_up_sync(uint32_t mask, T v, unsigned delta, int width = 32) {
  const int me = emu::current->lane, from = me - int(delta), first = me & ~(width - 1);
  return emu::shuffle("shfl.up", mask, v, from >= first ? from : me);
}
inline uint32_t __ballot_sync(uint32_t mask, bool vote) { return emu::ballot(mask, vote); }
inline bool __any_sync(uint32_t mask, bool vote) { return emu::ballot(mask, vote) != 0; }
inline bool __all_sync(uint32_t mask, bool vote) { return emu::ballot(mask, vote) == mask; }

inline float __fmaf_rn(float a, float b, float c) { return std::fmaf(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline float __uint_as_float(uint32_t u) { return emu::from_bits<float>(u); }
inline uint32_t __float_as_uint(float f) { return emu::to_bits(f); }
inline float __int_as_float(int i) { return emu::from_bits<float>(uint32_t(i)); }
inline int __float_as_int(float f) { return int(emu::to_bits(f)); }
inline float __int2float_rn(int i) { return float(i); }
inline float __uint2float_rn(uint32_t u) { return float(u); }
inline int __float2int_rn(float f) { return emu::to_int(std::nearbyint(f)); }
inline int __float2int_rz(float f) { return emu::to_int(std::trunc(f)); }

inline int __popc(uint32_t v) { return __builtin_popcount(v); }
inline int __popcll(unsigned long long v) { return __builtin_popcountll(v); }
inline int __clz(int v) { return v ? __builtin_clz(uint32_t(v)) : 32; }
inline int __clzll(long long v) { return v ? __builtin_clzll(uint64_t(v)) : 64; }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline uint32_t __umulhi(uint32_t a, uint32_t b) { return uint32_t(uint64_t(a) * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
inline uint32_t __byte_perm(uint32_t low, uint32_t high, uint32_t selector) {
  const uint64_t bytes = uint64_t(high) << 32 | low;
  uint32_t r = 0;
  for (int i = 0; i < 4; ++i) r |= uint32_t(bytes >> (selector >> 4 * i & 7) * 8 & 255) << 8 * i;
  return r;
}
template <typename T>
T __ldg(const T* p) {
  return *p;
}

// Whole numbers alone: the order of additions is no part of their result.
template <typename T>
T atomicAdd(T* p, std::type_identity_t<T> v) {
  static_assert(std::is_integral_v<T>, "a sum of floats must not depend on the order of threads");
  return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
}
template <typename T>
T atomicOr(T* p, std::type_identity_t<T> v) {
  return __atomic_fetch_or(p, v, __ATOMIC_RELAXED);
}
template <typename T>
T atomicAnd(T* p, std::type_identity_t<T> v) {
  return __atomic_fetch_and(p, v, __ATOMIC_RELAXED);
}
template <typename T>
T atomicExch(T* p, std::type_identity_t<T> v) {
  return __atomic_exchange_n(p, v, __ATOMIC_RELAXED);
}
template <typename T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> v) {
  __atomic_compare_exchange_n(p, &expected, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}
template <typename T>
T atomicMax(T* p, std::type_identity_t<T> v) {
  T old = __atomic_load_n(p, __ATOMIC_RELAXED);
  while (old < v && !__atomic_compare_exchange_n(p, &old, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
}
template <typename T>
T atomicMin(T* p, std::type_identity_t<T> v) {
  T old = __atomic_load_n(p, __ATOMIC_RELAXED);
  while (v < old && !__atomic_compare_exchange_n(p, &old, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
}
using std::max;
using std::min;
