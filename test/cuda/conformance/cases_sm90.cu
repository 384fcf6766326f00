// mbarrier, TMA and stmatrix of sm_90a: what arrives where, to the byte.
#include "conformance/cases.h"

namespace mmprm::conformance {

constexpr int kRows = 24, kRowWords = 48, kBoxRows = 16;

// The box's upper left corner for a problem, in units of 4 bytes and rows: inside, across each edge, outside. WHY multiples
// of 16 bytes: a card calls any other column an illegal instruction; and a store that begins before the matrix.
__device__ inline int corner_inner(int problem) { return problem * 7 % 20 * 4 - 32; }
__device__ inline int corner_outer(int problem) { return problem * kRows + problem % 9 - 4; }

namespace {

// ---- stmatrix

__global__ void store_matrices(const uint32_t* in, uint32_t* out) {
#if defined(MMPRM_HOPPER)
  uint32_t* tile = dynamic_shared<uint32_t>();
  const uint32_t* x = problem_in<uint32_t>(in, 128);
  uint32_t* y = problem_out<uint32_t>(out, 512);
  const int lane = int(threadIdx.x);
  uint32_t four[4], two[2];
  for (int i = 0; i < 4; ++i) four[i] = x[i * 32 + lane];
  for (int i = 0; i < 2; ++i) two[i] = four[i];
  for (int kind = 0; kind < 4; ++kind) {
    for (int i = lane; i < 128; i += 32) tile[i] = 0;
    __syncwarp();
    uint32_t* row = tile + lane * 4;
    if (kind == 0) store_matrix4(row, four);
    if (kind == 1) store_matrix4_transposed(row, four);
    if (kind == 2) store_matrix2(row, two);
    if (kind == 3) store_matrix2_transposed(row, two);
    __syncwarp();
    for (int i = lane; i < 128; i += 32) y[kind * 128 + i] = tile[i];
    __syncwarp();
  }
#endif
}
const AddHopperCase add_store(
    {"store_matrix", {{Fill::kBits, 128}}, 512, Compare::kBits, 32, run_kernel<store_matrices, 32, 512>});

// ---- TMA: a box at odd places of a matrix, in and out again. The whole input is one matrix of 192-byte rows.

struct BoxTile {
  uint32_t box[kBoxRows * 32];
  uint64_t full;
};

template <int kElementBytes>
__global__ void boxes(const __grid_constant__ TensorMap from, const __grid_constant__ TensorMap to,
                      uint32_t* out, size_t out_words) {
#if defined(MMPRM_HOPPER)
  BoxTile& tile = *dynamic_shared<BoxTile>();
  const int lane = int(threadIdx.x), problem = int(blockIdx.x);
  const int inner = corner_inner(problem) * 4 / kElementBytes, outer = corner_outer(problem);
  if (lane == 0) {
    tensor_map_prefetch(&from);
    barrier_init(&tile.full, 2);
    barrier_init_done();
  }
  __syncwarp();
  if (lane == 0) {
    barrier_arrive_expect(&tile.full, int(sizeof tile.box));
    tile_load(tile.box, &from, inner, outer, &tile.full);
  }
  if (lane == 9) barrier_arrive(&tile.full);
  barrier_wait(&tile.full, 0);
  uint32_t* y = out + size_t(problem) * out_words;
  for (int i = lane; i < kBoxRows * 32; i += 32) {
    y[i] = tile.box[i];
    tile.box[i] ^= 0x01010101u;
  }
  proxy_fence();
  __syncwarp();
  if (lane == 0) {
    tile_store(&to, inner < 0 ? 0 : inner, outer < 0 ? 0 : outer, tile.box);
    tile_store_commit();
    tile_store_wait_read<0>();
    tile_store_wait<0>();
  }
#endif
}

// Output: what lay in shared memory, then the problem's rows of the matrix that the boxes were stored to.
constexpr size_t kBoxOut = kBoxRows * 32, kMatrixOut = kRows * kRowWords;

// kShort: elements that the matrix lacks at the end of its rows of 192 bytes.
template <TileElement kElement, int kElementBytes, bool kSwizzled, int kShort>
cudaError_t run_boxes(const uint32_t* in, uint32_t* out, int problems) {
  const TileShape shape{kElement,
                        uint64_t(kRowWords * 4 / kElementBytes - kShort),
                        uint64_t(problems * kRows - 3),
                        kRowWords * 4,
                        uint32_t(128 / kElementBytes),
                        kBoxRows,
                        kSwizzled};
  uint32_t* stored = out + kBoxOut * size_t(problems);
  TensorMap from, to;
  cudaError_t e = make_tensor_map(&from, in, shape);
  if (e == cudaSuccess) e = make_tensor_map(&to, stored, shape);
  if (e != cudaSuccess) return e;
  return launch(boxes<kElementBytes>, dim3(unsigned(problems)), dim3(32), sizeof(BoxTile), nullptr, from, to,
                out, kBoxOut);
}

#define MMPRM_BOXES(name, text, element, bytes, swizzled, missing) \
  const AddHopperCase name({text,                                  \
                            {{Fill::kBits, kMatrixOut}},           \
                            kBoxOut + kMatrixOut,                  \
                            Compare::kBits,                        \
                            64,                                    \
                            run_boxes<TileElement::element, bytes, swizzled, missing>})
MMPRM_BOXES(add_bf16, "TMA boxes of bf16, swizzled", kBF16, 2, true, 1);
MMPRM_BOXES(add_bf16_plain, "TMA boxes of bf16, plain", kBF16, 2, false, 1);
MMPRM_BOXES(add_f32, "TMA boxes of fp32, swizzled", kF32, 4, true, 1);
MMPRM_BOXES(add_int8, "TMA boxes of bytes, swizzled", kInt8, 1, true, 3);
// More than 16 bytes: how far past its edge a store writes.
MMPRM_BOXES(add_bf16_short, "TMA boxes of bf16, short rows", kBF16, 2, true, 11);
MMPRM_BOXES(add_f32_short, "TMA boxes of fp32, short rows", kF32, 4, false, 6);
MMPRM_BOXES(add_int8_short, "TMA boxes of bytes, short rows", kInt8, 1, true, 41);

// ---- mbarrier: a ring of two stages over six rounds, one producer, two warps that take; registers change hands

__global__ void __launch_bounds__(256, 1) ring(const uint32_t* in, uint32_t* out) {
#if defined(MMPRM_HOPPER)
  struct Ring {
    uint32_t stage[2][128];
    uint64_t full[2], empty[2];
  };
  Ring& r = *dynamic_shared<Ring>();
  const uint32_t* x = problem_in<uint32_t>(in, 6 * 128);
  uint32_t* y = problem_out<uint32_t>(out, 6 * 128);
  const int thread = int(threadIdx.x);
  if (thread == 0) {
    for (int s = 0; s < 2; ++s) {
      barrier_init(&r.full[s], 128);
      barrier_init(&r.empty[s], 128);
    }
    barrier_init_done();
  }
  __syncthreads();
  if (thread < 128) {
    registers_down<40>();
    for (int i = 0; i < 6; ++i) {
      const int s = i % 2;
      barrier_wait(&r.empty[s], uint32_t(i / 2 & 1) ^ 1);
      r.stage[s][thread] = x[i * 128 + thread];
      barrier_arrive(&r.full[s]);
    }
  } else {
    registers_up<216>();
    const int t = thread - 128;
    for (int i = 0; i < 6; ++i) {
      const int s = i % 2;
      barrier_wait(&r.full[s], uint32_t(i / 2 & 1));
      y[i * 128 + t] = r.stage[s][(t + 37) % 128];
      barrier_arrive(&r.empty[s]);
    }
  }
#endif
}
const AddHopperCase add_ring(
    {"mbarrier ring", {{Fill::kBits, 768}}, 768, Compare::kBits, 16, run_kernel<ring, 256, 1056>});

}  // namespace
}  // namespace mmprm::conformance
