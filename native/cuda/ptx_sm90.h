// Instructions of sm_90a that are no products: mbarrier, TMA, stmatrix, the fences of the asynchronous proxy.
#pragma once
#include "cuda/target.h"
#include "cuda/tensor_map.h"

#if defined(MMPRM_HOPPER)
namespace mmprm::cuda {

// ---- mbarrier: a phase ends when `arrivals` threads have arrived and all announced bytes have come

__device__ inline void barrier_init(uint64_t* bar, int arrivals) {
#if MMPRM_EMULATED
  emu::barrier_init(bar, arrivals);
#else
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(bar)), "r"(arrivals)
               : "memory");
#endif
}
// After barrier_init, before the barrier of the block: the copy engine must see the initial state.
__device__ inline void barrier_init_done() {
#if MMPRM_EMULATED
  emu::barrier_init_done();
#else
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}
__device__ inline void barrier_arrive(uint64_t* bar) {
#if MMPRM_EMULATED
  emu::barrier_arrive(bar, 0);
#else
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(bar)) : "memory");
#endif
}
// Arrives, and announces bytes that TMA will bring in this phase.
__device__ inline void barrier_arrive_expect(uint64_t* bar, int bytes) {
#if MMPRM_EMULATED
  emu::barrier_arrive(bar, bytes);
#else
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(bar)), "r"(bytes)
               : "memory");
#endif
}
// Waits until the phase of this parity has ended. A fresh barrier is in phase 0: waiting for parity 1 returns.
__device__ inline void barrier_wait(uint64_t* bar, uint32_t parity) {
#if MMPRM_EMULATED
  emu::barrier_wait(bar, parity);
#else
  asm volatile(
      "{ .reg .pred p; WAIT: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1; @p bra DONE; bra WAIT; "
      "DONE: }" ::"r"(shared_address(bar)),
      "r"(parity)
      : "memory");
#endif
}

// ---- TMA: boxes of a matrix between global and shared memory

// Outside of the matrix zeros arrive. `inner` is a column at a multiple of 16 bytes (anything else is an illegal
// instruction), `outer` a row, both may be negative; the bytes count on `bar`.
__device__ inline void tile_load(void* to, const TensorMap* map, int inner, int outer, uint64_t* bar) {
#if MMPRM_EMULATED
  emu::tile_load(to, map, inner, outer, bar);
#else
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], "
      "[%2];" ::"r"(shared_address(to)),
      "l"(map), "r"(shared_address(bar)), "r"(inner), "r"(outer)
      : "memory");
#endif
}
// What lies behind the matrix is not written; a box that begins before it is an illegal instruction. Before it:
// proxy_fence by every writer, then a barrier.
__device__ inline void tile_store(const TensorMap* map, int inner, int outer, const void* from) {
#if MMPRM_EMULATED
  emu::tile_store(map, inner, outer, from);
#else
  asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%2, %3}], [%1];" ::"l"(map),
               "r"(shared_address(from)), "r"(inner), "r"(outer)
               : "memory");
#endif
}
__device__ inline void tile_store_commit() {
#if MMPRM_EMULATED
  emu::tile_store_commit();
#else
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
#endif
}
// Until at most kLeft of this thread's groups still read shared memory: it may be written again.
template <int kLeft>
__device__ inline void tile_store_wait_read() {
#if MMPRM_EMULATED
  emu::tile_store_wait(kLeft, false);
#else
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kLeft) : "memory");
#endif
}
// Until at most kLeft of this thread's groups are under way at all.
template <int kLeft>
__device__ inline void tile_store_wait() {
#if MMPRM_EMULATED
  emu::tile_store_wait(kLeft, true);
#else
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(kLeft) : "memory");
#endif
}
__device__ inline void tensor_map_prefetch([[maybe_unused]] const TensorMap* map) {
#if !MMPRM_EMULATED
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
#endif
}

// Between ordinary accesses to shared memory and wgmma's or TMA's, on the ordinary side, before the barrier.
__device__ inline void proxy_fence() {
#if MMPRM_EMULATED
  emu::proxy_fence();
#else
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// ---- matrices from registers to shared memory: load_matrix4's counterparts

__device__ inline void store_matrix4(void* row, const uint32_t (&r)[4]) {
#if MMPRM_EMULATED
  emu::store_matrix(row, r, 4, false);
#else
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(shared_address(row)),
               "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
               : "memory");
#endif
}
__device__ inline void store_matrix4_transposed(void* row, const uint32_t (&r)[4]) {
#if MMPRM_EMULATED
  emu::store_matrix(row, r, 4, true);
#else
  asm volatile(
      "stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(shared_address(row)),
      "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
      : "memory");
#endif
}
__device__ inline void store_matrix2(void* row, const uint32_t (&r)[2]) {
#if MMPRM_EMULATED
  emu::store_matrix(row, r, 2, false);
#else
  asm volatile("stmatrix.sync.aligned.m8n8.x2.shared.b16 [%0], {%1,%2};" ::"r"(shared_address(row)),
               "r"(r[0]), "r"(r[1])
               : "memory");
#endif
}
__device__ inline void store_matrix2_transposed(void* row, const uint32_t (&r)[2]) {
#if MMPRM_EMULATED
  emu::store_matrix(row, r, 2, true);
#else
  asm volatile("stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%0], {%1,%2};" ::"r"(shared_address(row)),
               "r"(r[0]), "r"(r[1])
               : "memory");
#endif
}

// ---- setmaxnreg: registers move between the warpgroups of a block; all warps of a warpgroup call it. WARNING: a block has
// what it was launched with, 65536 / threads each, rounded down to a multiple of 8; who asks for more than others gave back
// waits for ever.

template <int kRegisters>
__device__ inline void registers_down() {
#if MMPRM_EMULATED
  emu::set_registers(kRegisters);
#else
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
#endif
}
template <int kRegisters>
__device__ inline void registers_up() {
#if MMPRM_EMULATED
  emu::set_registers(kRegisters);
#else
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
#endif
}

}  // namespace mmprm::cuda
#endif  // MMPRM_HOPPER
