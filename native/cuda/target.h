// Who compiles: nvcc for a card, or a C++ compiler for the emulator. Nothing else in native/cuda asks.
//
//   MMPRM_EMULATED  1 where the emulator stands in for the compiler's CUDA names
//   MMPRM_HOPPER    defined where code may use TMA, mbarrier and wgmma: sm_90a, and the emulator
#pragma once
#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)
#define MMPRM_EMULATED 0
#include <cuda_runtime.h>
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define MMPRM_HOPPER 1
#endif
#else
#define MMPRM_EMULATED 1
#define MMPRM_HOPPER 1
#include <emulator/cuda_names.h>
#endif

namespace mmprm::cuda {

using bf16 = uint16_t;  // its bits

__device__ inline float widen(bf16 h) { return __uint_as_float(uint32_t(h) << 16); }
// The two halves of a register that holds two bf16.
__device__ inline float widen_low(uint32_t pair) { return __uint_as_float(pair << 16); }
__device__ inline float widen_high(uint32_t pair) { return __uint_as_float(pair & 0xffff0000u); }

// The block's dynamic shared memory, 1,024-byte aligned.
template <typename T>
__device__ inline T* dynamic_shared() {
#if MMPRM_EMULATED
  return reinterpret_cast<T*>(emu::dynamic_shared);
#else
  extern __shared__ __align__(1024) unsigned char mmprm_dynamic_shared[];
  return reinterpret_cast<T*>(mmprm_dynamic_shared);
#endif
}

// What instructions call an address in shared memory: a 32-bit offset.
__device__ inline uint32_t shared_address(const void* p) {
#if MMPRM_EMULATED
  return emu::shared_address(p);
#else
  return uint32_t(__cvta_generic_to_shared(p));
#endif
}

}  // namespace mmprm::cuda
