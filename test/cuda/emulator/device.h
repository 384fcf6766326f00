// What the emulated bodies of ptx.h and of CUDA's built-in names call. A block runs on one OS thread and every CUDA
// thread is a fiber; a warp operation is a meeting of its lanes, whose last one computes for all.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>

#include "emulator/options.h"

namespace emu {

struct Thread {
  dim3 thread_index, block_index, block_size, grid_size;
  int lane, warp;
};
extern __thread Thread* current;
extern __thread unsigned char* dynamic_shared;

// Runs a grid now, on this thread and options().workers - 1 others.
void run_grid(dim3 grid, dim3 block, size_t shared_bytes, void (*entry)(void*), void* closure);

template <typename T>
uint32_t to_bits(T v) {
  static_assert(sizeof(T) == 4);
  uint32_t u;
  std::memcpy(&u, &v, 4);
  return u;
}
template <typename T>
T from_bits(uint32_t u) {
  static_assert(sizeof(T) == 4);
  T v;
  std::memcpy(&v, &u, 4);
  return v;
}
// CUDA's conversion: clamped, NaN to 0.
inline int to_int(float whole) {
  if (whole != whole) return 0;
  return whole >= 2147483648.0f ? 2147483647 : whole < -2147483648.0f ? -2147483647 - 1 : int(whole);
}
uint32_t pack_bf16(float low, float high);

// ---- barriers and warps
void block_barrier(int id, int count, bool wait);
void device_fence();
void sync_warp(uint32_t mask);
uint32_t shuffle_bits(const char* kind, uint32_t mask, uint32_t value, int from);
uint32_t ballot(uint32_t mask, bool vote);

template <typename T>
T shuffle(const char* kind, uint32_t mask, T v, int from) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
  uint32_t parts[sizeof(T) / 4];
  std::memcpy(parts, &v, sizeof v);
  for (uint32_t& part : parts) part = shuffle_bits(kind, mask, part, from);
  std::memcpy(&v, parts, sizeof v);
  return v;
}

// ---- shared memory
uint32_t shared_address(const void* p);
void copy_async(void* to, const void* from, int bytes, int source_bytes);
void copy_commit();
void copy_wait(int groups_left);
void load_matrix(uint32_t* r, int matrices, const void* row, bool transposed);
void store_matrix(void* row, const uint32_t* r, int matrices, bool transposed);

// ---- mma.sync
void mma_bf16(float* d, const uint32_t* a, uint32_t b0, uint32_t b1);
void mma_int8(int* d, const uint32_t* a, uint32_t b0, uint32_t b1, bool b_signed);

// ---- mbarrier and TMA
void barrier_init(uint64_t* bar, int arrivals);
void barrier_init_done();
void barrier_arrive(uint64_t* bar, int transaction_bytes);
void barrier_wait(uint64_t* bar, uint32_t parity);
void proxy_fence();

namespace maps {  // WHY a namespace of its own: calls with a map as argument would find emu's functions too
struct TensorMap {
  const void* base;
  uint64_t inner, outer;  // elements of a row, rows
  uint64_t stride_bytes;
  uint32_t box_inner, box_outer, element_bytes;
  bool swizzle_128;
};
}  // namespace maps
using maps::TensorMap;
void tile_load(void* to, const TensorMap* map, int inner, int outer, uint64_t* bar);
void tile_store(const TensorMap* map, int inner, int outer, const void* from);
void tile_store_commit();
void tile_store_wait(int groups_left, bool written);

void set_registers(int count);  // setmaxnreg

// ---- wgmma
void wgmma_fence();
void wgmma_commit();
void wgmma_wait(int groups_left);
void wgmma_bf16(float* d, int n, const uint32_t* a_registers, uint64_t a, uint64_t b, bool accumulate,
                bool b_mn_major);
void wgmma_int8(int* d, int n, const uint32_t* a_registers, uint64_t a, uint64_t b, bool accumulate,
                bool b_signed);

}  // namespace emu
