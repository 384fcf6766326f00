// Instructions of sm_80 and later: asynchronous copies, matrices between shared memory and registers, mma.sync.
#pragma once
#include "cuda/target.h"

namespace mmprm::cuda {

// Two floats to bf16, round to nearest even, NaN to 0x7fff; `low` in the lower half.
__device__ inline uint32_t pack_bf16(float low, float high) {
#if MMPRM_EMULATED
  return emu::pack_bf16(low, high);
#else
  uint32_t d;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
  return d;
#endif
}

// ---- cp.async: 16 bytes from global to shared memory, past the registers

// Where not `inside`, 16 zero bytes arrive and `from` is not read (but must be a valid address).
__device__ inline void copy_async16(void* to, const void* from, bool inside) {
#if MMPRM_EMULATED
  emu::copy_async(to, from, 16, inside ? 16 : 0);
#else
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(inside ? 16 : 0)
               : "memory");
#endif
}
// The first `bytes` (0 to 16) of `from`, zeros behind them; what is not copied is not read.
__device__ inline void copy_async16_part(void* to, const void* from, int bytes) {
#if MMPRM_EMULATED
  emu::copy_async(to, from, 16, bytes);
#else
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(bytes)
               : "memory");
#endif
}
// Closes this thread's group of copies.
__device__ inline void copy_commit() {
#if MMPRM_EMULATED
  emu::copy_commit();
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
// Waits until at most kLeft of this thread's groups are under way. Other threads see the bytes after a barrier.
template <int kLeft>
__device__ inline void copy_wait() {
#if MMPRM_EMULATED
  emu::copy_wait(kLeft);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
#endif
}

// ---- 8x8 matrices of 16-bit elements; lane l names row l % 8 of matrix l / 8 (16 bytes, aligned to 16)

// Lane l receives elements 2 (l % 4) and 2 (l % 4) + 1 of row l / 4 of each matrix.
__device__ inline void load_matrix4(uint32_t (&r)[4], const void* row) {
#if MMPRM_EMULATED
  emu::load_matrix(r, 4, row, false);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
#endif
}
// Lane l receives elements (2 (l % 4), l / 4) and (2 (l % 4) + 1, l / 4): the matrices turned over.
__device__ inline void load_matrix4_transposed(uint32_t (&r)[4], const void* row) {
#if MMPRM_EMULATED
  emu::load_matrix(r, 4, row, true);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
#endif
}
// Two matrices; the rows are those that lanes 0 to 15 name (all lanes give a valid address).
__device__ inline void load_matrix2(uint32_t (&r)[2], const void* row) {
#if MMPRM_EMULATED
  emu::load_matrix(r, 2, row, false);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
#endif
}
__device__ inline void load_matrix2_transposed(uint32_t (&r)[2], const void* row) {
#if MMPRM_EMULATED
  emu::load_matrix(r, 2, row, true);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
#endif
}

// ---- mma.sync: d += a · b, one warp. With g = lane / 4 and t = lane % 4:
//   d[0..1] row g, d[2..3] row g + 8, columns 2t and 2t + 1.

// m16n8k16, bf16 in, fp32 out. a[0] (g, 2t), a[1] (g + 8, 2t), a[2] (g, 2t + 8), a[3] (g + 8, 2t + 8), two elements
// of rising k each; b0 (k = 2t, column g), b1 (k = 2t + 8).
__device__ inline void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#if MMPRM_EMULATED
  emu::mma_bf16(d, a, b0, b1);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}

// m16n8k32, 8-bit in, exact sums in s32 that wrap. A register holds four elements of rising k: a[0] (g, 4t),
// a[1] (g + 8, 4t), a[2] (g, 4t + 16), a[3] (g + 8, 4t + 16); b0 (k = 4t), b1 (k = 4t + 16). a is signed.
__device__ inline void mma_s8s8(int (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#if MMPRM_EMULATED
  emu::mma_int8(d, a, b0, b1, true);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}
// The same with unsigned b.
__device__ inline void mma_s8u8(int (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#if MMPRM_EMULATED
  emu::mma_int8(d, a, b0, b1, false);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.u8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}

// ---- barriers of a part of a block; __syncthreads is barrier 0 of all

// Waits until `threads` (a multiple of 32) threads have come to barrier `id` (1 to 15).
__device__ inline void named_barrier_sync(int id, int threads) {
#if MMPRM_EMULATED
  emu::block_barrier(id, threads, true);
#else
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
#endif
}
// Counts as come, and goes on.
__device__ inline void named_barrier_arrive(int id, int threads) {
#if MMPRM_EMULATED
  emu::block_barrier(id, threads, false);
#else
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
#endif
}

}  // namespace mmprm::cuda
