// wgmma: every width, from shared memory and registers, b along k and across, bf16 and bytes; a chain over 64 or 128 k.
#include "conformance/cases.h"

namespace mmprm::conformance {

// Row and column of register i of a thread's part of d.
__device__ inline int d_row(int i) {
  return int(threadIdx.x) / 32 * 16 + int(threadIdx.x) % 32 / 4 + (i / 2 & 1) * 8;
}
__device__ inline int d_column(int i) { return i / 4 * 8 + int(threadIdx.x) % 4 * 2 + i % 2; }

namespace {

template <int N>
struct Words {
  static constexpr size_t a = 64 * 32, b = size_t(N) * 32, d = size_t(64) * N, in = a + b + d;
};

template <int N>
struct Tile {
  unsigned char a[64 * 128], b[N * 128];
};

// Odd problems begin from c, even ones from zero.
template <int N, bool kFromRegisters, bool kMnMajor>
__global__ void __launch_bounds__(128) product(const uint32_t* in, uint32_t* out) {
#if defined(MMPRM_HOPPER)
  using W = Words<N>;
  Tile<N>& tile = *dynamic_shared<Tile<N>>();
  const uint32_t* x = problem_in<uint32_t>(in, W::in);
  const auto* c = reinterpret_cast<const float*>(x + W::a + W::b);
  float* y = problem_out<float>(out, W::d);
  fill_swizzled(tile.a, reinterpret_cast<const unsigned char*>(x), 64, 128, 128);
  const auto* b = reinterpret_cast<const unsigned char*>(x + W::a);
  if constexpr (kMnMajor) {
    for (int n = 0; n < N; n += 64) fill_swizzled(tile.b + n * 128, b + n * 2, 64, N * 2, 128);
  } else {
    fill_swizzled(tile.b, b, N, 128, 128);
  }
  proxy_fence();
  float d[N / 2];
#pragma unroll
  for (int i = 0; i < N / 2; ++i) d[i] = c[d_row(i) * N + d_column(i)];
  uint32_t ra[4][4];
#pragma unroll
  for (int k = 0; k < 4; ++k) {
#pragma unroll
    for (int i = 0; i < 4; ++i)
      ra[k][i] = x[d_row((i & 1) * 2) * 32 + k * 8 + int(threadIdx.x) % 4 + (i >> 1) * 4];
  }
  __syncthreads();
  const uint64_t da = tile_descriptor(tile.a);
  const uint64_t db = kMnMajor ? tile_descriptor(tile.b, 64 * 128, 1024) : tile_descriptor(tile.b);
  wgmma_fence();
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const uint64_t step_b = db + uint64_t(k * (kMnMajor ? 2 * 1024 / 16 : 2));
    const int accumulate = k > 0 || blockIdx.x % 2 == 1;
    if constexpr (kFromRegisters) {
      wgmma_rs<kMnMajor>(d, ra[k], step_b, accumulate);
    } else {
      wgmma_ss<kMnMajor>(d, da + uint64_t(2 * k), step_b, accumulate);
    }
  }
  wgmma_commit();
  wgmma_wait<0>();
#pragma unroll
  for (int i = 0; i < N / 2; ++i) y[d_row(i) * N + d_column(i)] = d[i];
#endif
}

template <int N, bool kFromRegisters, bool kSigned>
__global__ void __launch_bounds__(128) byte_product(const uint32_t* in, uint32_t* out) {
#if defined(MMPRM_HOPPER)
  using W = Words<N>;
  Tile<N>& tile = *dynamic_shared<Tile<N>>();
  const uint32_t* x = problem_in<uint32_t>(in, W::in);
  const auto* c = reinterpret_cast<const int*>(x + W::a + W::b);
  int* y = problem_out<int>(out, W::d);
  fill_swizzled(tile.a, reinterpret_cast<const unsigned char*>(x), 64, 128, 128);
  fill_swizzled(tile.b, reinterpret_cast<const unsigned char*>(x + W::a), N, 128, 128);
  proxy_fence();
  int d[N / 2];
#pragma unroll
  for (int i = 0; i < N / 2; ++i) d[i] = c[d_row(i) * N + d_column(i)];
  uint32_t ra[4][4];
#pragma unroll
  for (int k = 0; k < 4; ++k) {
#pragma unroll
    for (int i = 0; i < 4; ++i)
      ra[k][i] = x[d_row((i & 1) * 2) * 32 + k * 8 + int(threadIdx.x) % 4 + (i >> 1) * 4];
  }
  __syncthreads();
  const uint64_t da = tile_descriptor(tile.a), db = tile_descriptor(tile.b);
  wgmma_fence();
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const int accumulate = k > 0 || blockIdx.x % 2 == 1;
    if constexpr (kFromRegisters) {
      wgmma_int8_rs<kSigned>(d, ra[k], db + uint64_t(2 * k), accumulate);
    } else {
      wgmma_int8_ss<kSigned>(d, da + uint64_t(2 * k), db + uint64_t(2 * k), accumulate);
    }
  }
  wgmma_commit();
  wgmma_wait<0>();
#pragma unroll
  for (int i = 0; i < N / 2; ++i) y[d_row(i) * N + d_column(i)] = d[i];
#endif
}

template <int N, bool kFromRegisters, bool kMnMajor>
Case bf16_case(const char* name) {
  using W = Words<N>;
  return {name,
          {{Fill::kBf16, W::a}, {Fill::kBf16, W::b}, {Fill::kF32, W::d}},
          W::d,
          Compare::kF32,
          N < 64 ? 32 : 16,
          run_kernel<product<N, kFromRegisters, kMnMajor>, 128, sizeof(Tile<N>)>};
}
template <int N, bool kFromRegisters, bool kSigned>
Case byte_case(const char* name) {
  using W = Words<N>;
  return {name, {{Fill::kBits, W::in}},
          W::d, Compare::kBits,
          8,    run_kernel<byte_product<N, kFromRegisters, kSigned>, 128, sizeof(Tile<N>)>};
}

#define MMPRM_WIDTH(N)                                                                                    \
  const AddHopperCase add_ss_##N(bf16_case<N, false, false>("wgmma m64n" #N "k16 bf16, a shared"));       \
  const AddHopperCase add_rs_##N(bf16_case<N, true, false>("wgmma m64n" #N "k16 bf16, a in registers"));  \
  const AddHopperCase add_s8_##N(byte_case<N, false, true>("wgmma m64n" #N "k32 s8.s8, a shared"));       \
  const AddHopperCase add_u8_##N(byte_case<N, false, false>("wgmma m64n" #N "k32 s8.u8, a shared"));      \
  const AddHopperCase add_rs8_##N(byte_case<N, true, true>("wgmma m64n" #N "k32 s8.s8, a in registers")); \
  const AddHopperCase add_ru8_##N(byte_case<N, true, false>("wgmma m64n" #N "k32 s8.u8, a in registers"))
#define MMPRM_ACROSS(N)                                                             \
  const AddHopperCase add_mn_ss_##N(                                                \
      bf16_case<N, false, true>("wgmma m64n" #N "k16 bf16, a shared, b across k")); \
  const AddHopperCase add_mn_rs_##N(                                                \
      bf16_case<N, true, true>("wgmma m64n" #N "k16 bf16, a in registers, b across k"))

MMPRM_WIDTH(8);
MMPRM_WIDTH(16);
MMPRM_WIDTH(32);
MMPRM_WIDTH(64);
MMPRM_WIDTH(96);
MMPRM_WIDTH(128);
MMPRM_WIDTH(192);
MMPRM_WIDTH(256);
MMPRM_ACROSS(64);
MMPRM_ACROSS(128);
MMPRM_ACROSS(192);
MMPRM_ACROSS(256);

}  // namespace
}  // namespace mmprm::conformance
