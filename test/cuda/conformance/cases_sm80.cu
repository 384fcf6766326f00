// Instructions of sm_80: copies, matrices, mma.sync, barriers; and the built-in functions that kernels use.
#include "conformance/cases.h"

namespace mmprm::conformance {
namespace {

// ---- bf16

__global__ void pack(const uint32_t* in, uint32_t* out) {
  const float* x = problem_in<float>(in, 64);
  uint32_t* y = problem_out<uint32_t>(out, 96);
  const int i = int(threadIdx.x);
  const uint32_t pair = pack_bf16(x[2 * i], x[2 * i + 1]);
  y[i] = pair;
  y[32 + 2 * i] = __float_as_uint(widen_low(pair));
  y[32 + 2 * i + 1] = __float_as_uint(widen_high(pair));
}
const AddCase add_pack(
    {"pack_bf16, widen", {{Fill::kF32, 64}}, 96, Compare::kBits, 256, run_kernel<pack, 32>});

// ---- cp.async: groups, and what is not inside

__global__ void async_copies(const uint32_t* in, uint32_t* out) {
  unsigned char* tile = dynamic_shared<unsigned char>();
  const auto* from = problem_in<unsigned char>(in, 1024);
  uint32_t* y = problem_out<uint32_t>(out, 1024);
  const int i = int(threadIdx.x);
  for (int group = 0; group < 4; ++group) {
    const int at = group * 1024 + i * 16;
    copy_async16(tile + at, from + at, (i + group + int(blockIdx.x)) % 5 != 0);
    copy_commit();
  }
  copy_wait<2>();
  __syncthreads();
  for (int k = 0; k < 2; ++k) {
    const int at = k * 1024 + ((i + 1) % 64) * 16;
    *reinterpret_cast<uint4*>(y + at / 4) = *reinterpret_cast<const uint4*>(tile + at);
  }
  copy_wait<0>();
  __syncthreads();
  for (int k = 2; k < 4; ++k) {
    const int at = k * 1024 + ((i + 1) % 64) * 16;
    *reinterpret_cast<uint4*>(y + at / 4) = *reinterpret_cast<const uint4*>(tile + at);
  }
}
const AddCase add_copies(
    {"copy_async16", {{Fill::kBits, 1024}}, 1024, Compare::kBits, 64, run_kernel<async_copies, 64, 4096>});

// ---- ldmatrix

__global__ void matrices(const uint32_t* in, uint32_t* out) {
  uint32_t* tile = dynamic_shared<uint32_t>();
  const uint32_t* from = problem_in<uint32_t>(in, 128);
  uint32_t* y = problem_out<uint32_t>(out, 384);
  const int lane = int(threadIdx.x);
  for (int i = lane; i < 128; i += 32) tile[i] = from[i];
  __syncwarp();
  const uint32_t* row = tile + lane * 4;
  uint32_t four[4], two[2];
  load_matrix4(four, row);
  for (int i = 0; i < 4; ++i) y[i * 32 + lane] = four[i];
  load_matrix4_transposed(four, row);
  for (int i = 0; i < 4; ++i) y[128 + i * 32 + lane] = four[i];
  load_matrix2(two, row);
  for (int i = 0; i < 2; ++i) y[256 + i * 32 + lane] = two[i];
  load_matrix2_transposed(two, row);
  for (int i = 0; i < 2; ++i) y[320 + i * 32 + lane] = two[i];
}
const AddCase add_matrices(
    {"load_matrix", {{Fill::kBits, 128}}, 384, Compare::kBits, 32, run_kernel<matrices, 32, 512>});

// ---- mma.sync: a chain of four products, as gemm makes them

constexpr int kSteps = 4;

__global__ void mma_chain(const uint32_t* in, uint32_t* out) {
  constexpr int kWords = kSteps * (128 + 64) + 128;
  const uint32_t* x = problem_in<uint32_t>(in, kWords);
  const uint32_t *a = x, *b = x + kSteps * 128;
  const float* c = reinterpret_cast<const float*>(x + kSteps * 192);
  float* y = problem_out<float>(out, kSteps * 128);
  const int lane = int(threadIdx.x);
  float d[4];
  for (int i = 0; i < 4; ++i) d[i] = c[i * 32 + lane];
  for (int s = 0; s < kSteps; ++s) {
    uint32_t ra[4];
    for (int i = 0; i < 4; ++i) ra[i] = a[s * 128 + i * 32 + lane];
    mma(d, ra, b[s * 64 + lane], b[s * 64 + 32 + lane]);
    for (int i = 0; i < 4; ++i) y[s * 128 + i * 32 + lane] = d[i];
  }
}
const AddCase add_mma({"mma m16n8k16 bf16",
                       {{Fill::kBf16, kSteps * 128}, {Fill::kBf16, kSteps * 64}, {Fill::kF32, 128}},
                       kSteps * 128,
                       Compare::kF32,
                       512,
                       run_kernel<mma_chain, 32>});

__global__ void mma_bytes(const uint32_t* in, uint32_t* out) {
  const uint32_t* x = problem_in<uint32_t>(in, 320);
  int* y = problem_out<int>(out, 256);
  const int lane = int(threadIdx.x);
  uint32_t a[4];
  int s[4], u[4];
  for (int i = 0; i < 4; ++i) {
    a[i] = x[i * 32 + lane];
    s[i] = u[i] = int(x[192 + i * 32 + lane]);
  }
  mma_s8s8(s, a, x[128 + lane], x[160 + lane]);
  mma_s8u8(u, a, x[128 + lane], x[160 + lane]);
  for (int i = 0; i < 4; ++i) {
    y[i * 32 + lane] = s[i];
    y[128 + i * 32 + lane] = u[i];
  }
}
const AddCase add_mma_bytes(
    {"mma m16n8k32 s8", {{Fill::kBits, 320}}, 256, Compare::kBits, 128, run_kernel<mma_bytes, 32>});

// ---- barriers of a part of a block: warps 0 and 1 hand over to warps 2 and 3

__global__ void named_barriers(const uint32_t* in, uint32_t* out) {
  uint32_t* tile = dynamic_shared<uint32_t>();
  const uint32_t* x = problem_in<uint32_t>(in, 64);
  uint32_t* y = problem_out<uint32_t>(out, 64);
  const int i = int(threadIdx.x);
  if (i < 64) {
    tile[i] = x[i] * 3;
    named_barrier_sync(2, 64);
    tile[64 + i] = tile[63 - i] + 1;
    named_barrier_arrive(3, 128);
  } else {
    named_barrier_sync(3, 128);
    y[i - 64] = tile[64 + (i - 64 + 5) % 64];
  }
}
const AddCase add_barriers(
    {"named barriers", {{Fill::kBits, 64}}, 64, Compare::kBits, 32, run_kernel<named_barriers, 128, 512>});

// ---- warps

__global__ void shuffles(const uint32_t* in, uint32_t* out) {
  const uint32_t* x = problem_in<uint32_t>(in, 64);
  uint32_t* y = problem_out<uint32_t>(out, 10 * 32);
  const int lane = int(threadIdx.x);
  const uint32_t v = x[lane];
  const uint64_t wide = uint64_t(v) << 32 | x[32 + lane];
  y[lane] = __shfl_xor_sync(~0u, v, 16);
  y[32 + lane] = __shfl_xor_sync(~0u, v, 3, 8);
  y[64 + lane] = __shfl_down_sync(~0u, v, 5);
  y[96 + lane] = __shfl_down_sync(~0u, v, 3, 8);
  y[128 + lane] = __shfl_up_sync(~0u, v, 7, 16);
  y[160 + lane] = __shfl_sync(~0u, v, lane * 5 + 1);
  y[192 + lane] = __shfl_sync(~0u, v, 6, 4);
  y[224 + lane] = __ballot_sync(~0u, (v & 4) != 0);
  y[256 + lane] = uint32_t(__shfl_xor_sync(~0u, wide, 9) >> 32);
  y[288 + lane] = uint32_t(__shfl_xor_sync(~0u, wide, 9));
}
const AddCase add_shuffles(
    {"shuffles, votes", {{Fill::kBits, 64}}, 320, Compare::kBits, 32, run_kernel<shuffles, 32>});

// ---- arithmetic that must be IEEE's

__global__ void float_arithmetic(const uint32_t* in, uint32_t* out) {
  const float* x = problem_in<float>(in, 96);
  float* y = problem_out<float>(out, 9 * 32);
  const int i = int(threadIdx.x);
  const float a = x[i], b = x[32 + i], c = x[64 + i];
  y[i] = __fmaf_rn(a, b, c);
  y[32 + i] = a / b;
  y[64 + i] = __fdiv_rn(c, a);
  y[96 + i] = sqrtf(a);
  y[128 + i] = __fsqrt_rn(fabsf(b));
  y[160 + i] = a * b + c;  // two roundings
  y[192 + i] = a - b * c;
  y[224 + i] = float(double(a) * double(b));
  y[256 + i] = a < b ? a : b;
}
const AddCase add_float(
    {"fp32 arithmetic", {{Fill::kF32, 96}}, 288, Compare::kF32, 512, run_kernel<float_arithmetic, 32>});

__global__ void double_arithmetic(const uint32_t* in, uint32_t* out) {
  const double* x = problem_in<double>(in, 192);
  double* y = problem_out<double>(out, 5 * 64);
  const int i = int(threadIdx.x);
  const double a = x[i], b = x[32 + i], c = x[64 + i];
  y[i] = __fma_rn(a, b, c);
  y[32 + i] = a / b;
  y[64 + i] = sqrt(a);
  y[96 + i] = a * b + c;
  y[128 + i] = double(float(a));
}
const AddCase add_double(
    {"fp64 arithmetic", {{Fill::kF64, 192}}, 320, Compare::kF64, 128, run_kernel<double_arithmetic, 32>});

__global__ void whole_arithmetic(const uint32_t* in, uint32_t* out) {
  const uint32_t* x = problem_in<uint32_t>(in, 96);
  uint32_t* y = problem_out<uint32_t>(out, 12 * 32);
  const int i = int(threadIdx.x);
  const uint32_t a = x[i], b = x[32 + i], s = x[64 + i] & 0x7777;
  const unsigned long long wide = static_cast<unsigned long long>(a) << 32 | b;
  y[i] = __byte_perm(a, b, s);
  y[32 + i] = __umulhi(a, b);
  y[64 + i] = uint32_t(__umul64hi(wide, wide ^ 0x9E3779B97F4A7C15ull));
  y[96 + i] = uint32_t(__clz(int(a >> (b & 31))));
  y[128 + i] = uint32_t(__popc(a));
  y[160 + i] = uint32_t(__ffs(int(a << (b & 31))));
  y[192 + i] = uint32_t(__clzll(static_cast<long long>(wide >> (b & 63))));
  y[224 + i] = uint32_t(__popcll(wide));
  y[256 + i] = __float_as_uint(__int2float_rn(int(a)));
  y[288 + i] = __float_as_uint(__uint2float_rn(a));
  const float f = __uint_as_float((a & 0x807fffffu) | (b % 60 + 110) << 23);
  y[320 + i] = uint32_t(__float2int_rn(f));
  y[352 + i] = uint32_t(__float2int_rz(f));
}
const AddCase add_whole({"whole-number functions",
                         {{Fill::kBits, 96}},
                         384,
                         Compare::kBits,
                         256,
                         run_kernel<whole_arithmetic, 32>});

__global__ void atomics(const uint32_t* in, uint32_t* out) {
  uint32_t* cell = dynamic_shared<uint32_t>();
  const uint32_t* x = problem_in<uint32_t>(in, 64);
  uint32_t* y = problem_out<uint32_t>(out, 8);
  const int i = int(threadIdx.x);
  if (i < 8) cell[i] = 0;
  __syncthreads();
  atomicAdd(&cell[0], x[i]);
  atomicOr(&cell[1], x[i] & 0x10101010u);
  atomicMax(&cell[2], x[i]);
  atomicMin(reinterpret_cast<int*>(&cell[3]), int(x[i]));
  atomicAdd(reinterpret_cast<unsigned long long*>(&cell[4]), static_cast<unsigned long long>(x[i]) << 8);
  atomicMax(reinterpret_cast<int*>(&cell[6]), int(x[i]));
  __syncthreads();
  if (i < 8) y[i] = cell[i];
}
const AddCase add_atomics(
    {"atomics", {{Fill::kBits, 64}}, 8, Compare::kBits, 32, run_kernel<atomics, 64, 32>});

}  // namespace
}  // namespace mmprm::conformance
