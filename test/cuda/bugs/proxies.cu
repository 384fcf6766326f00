// Ordinary stores to shared memory that wgmma reads and a tile store takes away: what proxy_fence and the waits are for.
#include "bugs/bugs.h"

namespace mmprm::bugs {
namespace {

struct Tile {
  bf16 w[64 * 64], x[8 * 64], out[2][64 * 64];
};

__device__ inline void put(bf16* tile, const bf16* from, int rows, int thread) {
  for (int i = thread; i < rows * 64; i += 128) {
    const int row = i / 64, column = i % 64;
    tile[row * 64 + ((column / 8 ^ row % 8) * 8 + column % 8)] = from[i];
  }
}

constexpr int kOthers = 3;  // elements at the end of a stored row that are another's, with kStoreRagged

// y[t][f] by one product; then `copies` times whole numbers, by tile stores.
template <Bug kBug>
__global__ void product_and_stores(const bf16* w, const bf16* x, float* y,
                                   const __grid_constant__ TensorMap to, int copies) {
  Tile& tile = *dynamic_shared<Tile>();
  const int thread = int(threadIdx.x), lane = thread % 32, warp = thread / 32;
  put(tile.w, w, 64, thread);
  put(tile.x, x, 8, thread);
  if (kBug != Bug::kNoProxyFence) proxy_fence();
  __syncthreads();
  float sums[4];
  wgmma_fence();
  for (int k = 0; k < 4; ++k)
    wgmma_ss<false>(sums, tile_descriptor(tile.w) + uint64_t(2 * k),
                    tile_descriptor(tile.x) + uint64_t(2 * k), k > 0);
  wgmma_commit();
  wgmma_wait<0>();
  for (int i = 0; i < 4; ++i)
    y[(lane % 4 * 2 + (i & 1)) * 64 + warp * 16 + lane / 4 + (i >> 1) * 8] = sums[i];
  for (int c = 0; c < copies; ++c) {
    bf16* out = tile.out[c % 2];
    if (thread == 0 && kBug != Bug::kStoreReused) tile_store_wait_read<1>();
    __syncthreads();
    for (int i = thread; i < 64 * 64; i += 128) out[i] = bf16(c * 4096 + i);
    if (kBug != Bug::kStoreNoFence) proxy_fence();
    __syncthreads();
    if (thread == 0) {
      tile_store(&to, kBug == Bug::kOddColumn ? 4 : kBug == Bug::kStoreBefore ? -8 : 0, c * 64, out);
      tile_store_commit();
    }
  }
  if (thread == 0 && kBug != Bug::kStoreNoWait) tile_store_wait_read<0>();
}

template <Bug kBug>
bool run() {
  const int copies = 4;
  const std::vector<bf16> w = whole_numbers(64 * 64, 1), x = whole_numbers(8 * 64, 2);
  Array<bf16> dw(w), dx(x), stored(size_t(copies) * 64 * 64);
  Array<float> y(8 * 64);
  TensorMap map;
  const int columns = kBug == Bug::kStoreRagged ? 64 - kOthers : 64;
  make_tensor_map(&map, stored.p,
                  {TileElement::kBF16, uint64_t(columns), uint64_t(copies) * 64, 128, 64, 64, false});
  launch(product_and_stores<kBug>, dim3(1), dim3(128), sizeof(Tile), nullptr, dw.p, dx.p, y.p, map, copies);
  const std::vector<bf16> got = stored.get();
  for (size_t i = 0; i < got.size(); ++i)
    if (got[i] != (int(i % 64) < columns ? bf16(i) : bf16(0xffff))) return false;  // fresh memory holds NaN
  return is_product(y.get(), w, x, 64, 8, 64);
}

__global__ void add(const int* from, int* to) { to[threadIdx.x] = from[threadIdx.x] + 1; }

template <Bug kBug>
bool run_streams() {
  cudaStream_t stream;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  int *pinned, *result;
  cudaMallocHost(&pinned, 128);
  cudaMallocHost(&result, 128);
  for (int i = 0; i < 32; ++i) pinned[i] = i;
  int *from, *to;
  cudaMalloc(&from, 128);
  cudaMalloc(&to, 128);
  cudaMemcpyAsync(from, pinned, 128, cudaMemcpyHostToDevice, stream);
  if (kBug == Bug::kPinnedReused) pinned[3] = 77;
  if (kBug == Bug::kFreed) cudaFree(from);
  launch(add, dim3(1), dim3(32), 0, stream, static_cast<const int*>(from), to);
  cudaMemcpyAsync(result, to, 128, cudaMemcpyDeviceToHost, stream);
  if (kBug != Bug::kNotSynchronized) cudaStreamSynchronize(stream);
  bool right = true;
  for (int i = 0; i < 32; ++i) right &= result[i] == i + 1;
  return right;
}

}  // namespace

bool proxies(Bug bug) {
  switch (bug) {
    case Bug::kNoProxyFence:
      return run<Bug::kNoProxyFence>();
    case Bug::kStoreNoFence:
      return run<Bug::kStoreNoFence>();
    case Bug::kStoreReused:
      return run<Bug::kStoreReused>();
    case Bug::kStoreBefore:
      return run<Bug::kStoreBefore>();
    case Bug::kOddColumn:
      return run<Bug::kOddColumn>();
    case Bug::kStoreRagged:
      return run<Bug::kStoreRagged>();
    case Bug::kStoreNoWait:
      return run<Bug::kStoreNoWait>();
    default:
      return run<Bug::kNone>();
  }
}

bool streams(Bug bug) {
  switch (bug) {
    case Bug::kPinnedReused:
      return run_streams<Bug::kPinnedReused>();
    case Bug::kFreed:
      return run_streams<Bug::kFreed>();
    case Bug::kNotSynchronized:
      return run_streams<Bug::kNotSynchronized>();
    default:
      return run_streams<Bug::kNone>();
  }
}

}  // namespace mmprm::bugs
