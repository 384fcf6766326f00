// TMA, mbarrier and wgmma of the emulator, together: tiles come by TMA, products read them, results leave by TMA.
#include "cuda_test.h"
#include "emulator/tensor_core.h"

namespace mmprm::cuda {
namespace {

struct PlainTile {
  bf16 box[16 * 64];
  uint64_t full;
};

// A box in, doubled by ordinary code, a box out.
__global__ void double_box(const __grid_constant__ TensorMap from, const __grid_constant__ TensorMap to,
                           int inner, int outer) {
  PlainTile& tile = *dynamic_shared<PlainTile>();
  const int lane = threadIdx.x;
  if (lane == 0) {
    barrier_init(&tile.full, 1);
    barrier_init_done();
    barrier_arrive_expect(&tile.full, int(sizeof tile.box));
    tile_load(tile.box, &from, inner, outer, &tile.full);
  }
  __syncwarp();
  barrier_wait(&tile.full, 0);
  for (int i = lane; i < 16 * 64; i += 32) tile.box[i] = bf16(pack_bf16(2 * widen(tile.box[i]), 0));
  proxy_fence();
  __syncwarp();
  if (lane == 0) {
    tile_store(&to, inner, outer, tile.box);
    tile_store_commit();
    tile_store_wait_read<0>();
  }
}

TEST(cuda_tiles_travel_and_end_at_the_edge) {
  const int rows = 20, columns = 69, stride = 80;
  const int ends = 72;  // a store writes the last 16 bytes of a row whole, with the zeros that a load gave
  std::vector<bf16> in(size_t(rows) * stride);
  for (size_t i = 0; i < in.size(); ++i) in[i] = round_bf16(float(i % 199));
  for (bool swizzle : {true, false}) {
    DeviceArray<bf16> from(in), to(in.size());
    TensorMap a, b;
    const TileShape shape{
        TileElement::kBF16, uint64_t(columns), uint64_t(rows), uint64_t(stride) * 2, 64, 16, swizzle};
    CUDA_OK(make_tensor_map(&a, from.data(), shape));
    CUDA_OK(make_tensor_map(&b, to.data(), shape));
    const int inner = 16, outer = 12;  // leaves the matrix below and to the right
    CUDA_OK(launch(double_box, dim3(1), dim3(32), sizeof(PlainTile), nullptr, a, b, inner, outer));
    const std::vector<bf16> got = to.get();
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < stride; ++c) {
        const bool written = r >= outer && c >= inner && c < ends;
        const size_t i = size_t(r) * stride + c;
        const bf16 doubled = c < columns ? round_bf16(2 * widen(in[i])) : bf16(0);
        CHECK_EQ(got[i], written ? doubled : bf16(0xffff));
      }
  }
}

TEST(cuda_tensor_maps_are_checked) {
  DeviceArray<bf16> d(64 * 64);
  TensorMap map;
  const TileShape right{TileElement::kBF16, 64, 64, 128, 64, 64, true};
  CHECK_EQ(make_tensor_map(&map, d.data(), right), cudaSuccess);
  TileShape wrong = right;
  wrong.stride_bytes = 130;
  CHECK_EQ(make_tensor_map(&map, d.data(), wrong), cudaErrorInvalidValue);
  wrong = right;
  wrong.box_outer = 512;
  CHECK_EQ(make_tensor_map(&map, d.data(), wrong), cudaErrorInvalidValue);
  CHECK_EQ(make_tensor_map(&map, d.data() + 1, right), cudaErrorInvalidValue);
  std::vector<bf16> host(64 * 64);
  CHECK_EQ(make_tensor_map(&map, host.data(), right), cudaErrorInvalidValue);
  cudaGetLastError();
}

template <int N>
struct ProductTile {
  bf16 a[64 * 64], b[N * 64];
  uint64_t full;
};

// d[64][N] = a[64][64] · b: K-major b is [N][64], MN-major b is [64][N] (N = 64 or 128: boxes of 64 columns).
template <int N, bool kFromRegisters, bool kMnMajor>
__global__ void product_kernel(const __grid_constant__ TensorMap map_a,
                               const __grid_constant__ TensorMap map_b, const bf16* a, float* d) {
  using Tile = ProductTile<N>;
  Tile& tile = *dynamic_shared<Tile>();
  const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
  if (thread == 0) {
    barrier_init(&tile.full, 1);
    barrier_init_done();
    barrier_arrive_expect(&tile.full, int(sizeof tile.a + sizeof tile.b));
    tile_load(tile.a, &map_a, 0, 0, &tile.full);
    if (kMnMajor)
      for (int n = 0; n < N; n += 64) tile_load(tile.b + n * 64, &map_b, n, 0, &tile.full);
    else
      tile_load(tile.b, &map_b, 0, 0, &tile.full);
  }
  __syncthreads();
  barrier_wait(&tile.full, 0);
  float sums[N / 2];
  uint32_t ra[4][4];
  for (int k = 0; k < 4; ++k)
    for (int i = 0; i < 4; ++i)
      ra[k][i] = *reinterpret_cast<const uint32_t*>(a + (warp * 16 + lane / 4 + (i & 1) * 8) * 64 + k * 16 +
                                                    lane % 4 * 2 + (i >> 1) * 8);
  const uint64_t da = tile_descriptor(tile.a),
                 db = kMnMajor ? tile_descriptor(tile.b, 64 * 64 * 2, 1024) : tile_descriptor(tile.b);
  wgmma_fence();
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const uint64_t b = db + k * (kMnMajor ? 128 : 2);
    if (kFromRegisters)
      wgmma_rs<kMnMajor>(sums, ra[k], b, k > 0);
    else
      wgmma_ss<kMnMajor>(sums, da + 2 * k, b, k > 0);
  }
  wgmma_commit();
  wgmma_wait<0>();
  for (int i = 0; i < N / 2; ++i)
    d[(warp * 16 + lane / 4 + (i / 2 & 1) * 8) * N + i / 4 * 8 + lane % 4 * 2 + i % 2] = sums[i];
}

template <int N, bool kFromRegisters, bool kMnMajor>
void check_product() {
  const std::vector<bf16> a = random_bf16(64 * 64, 5, 2), b = random_bf16(size_t(N) * 64, 6, 2);
  std::vector<float> want(64 * size_t(N));
  for (int m = 0; m < 64; ++m)
    for (int n = 0; n < N; ++n) {
      float sum = 0;
      for (int k0 = 0; k0 < 64; k0 += 16) {
        uint16_t x[16], y[16];
        for (int k = 0; k < 16; ++k) {
          x[k] = a[size_t(m) * 64 + k0 + k];
          y[k] = kMnMajor ? b[size_t(k0 + k) * N + n] : b[size_t(n) * 64 + k0 + k];
        }
        sum = emu::dot16(emu::Chips::kHopper, emu::Split16(x), emu::Split16(y), sum);
      }
      want[size_t(m) * N + n] = sum;
    }
  DeviceArray<bf16> da(a), db(b);
  DeviceArray<float> d(want.size());
  TensorMap map_a, map_b;
  CUDA_OK(make_tensor_map(&map_a, da.data(), {TileElement::kBF16, 64, 64, 128, 64, 64}));
  if (kMnMajor)
    CUDA_OK(
        make_tensor_map(&map_b, db.data(), {TileElement::kBF16, uint64_t(N), 64, uint64_t(N) * 2, 64, 64}));
  else
    CUDA_OK(make_tensor_map(&map_b, db.data(), {TileElement::kBF16, 64, uint64_t(N), 128, 64, uint32_t(N)}));
  const auto kernel = product_kernel<N, kFromRegisters, kMnMajor>;
  CUDA_OK(allow_shared(kernel, sizeof(ProductTile<N>)));
  CUDA_OK(
      launch(kernel, dim3(1), dim3(128), sizeof(ProductTile<N>), nullptr, map_a, map_b, da.data(), d.data()));
  CHECK_EQ(bit_difference(d.get(), want), "");
}

TEST(cuda_wgmma_from_shared_memory) {
  check_product<8, false, false>();
  check_product<64, false, false>();
  check_product<256, false, false>();
  check_product<64, false, true>();
}
TEST(cuda_wgmma_from_registers) {
  check_product<16, true, false>();
  check_product<128, true, true>();
}

}  // namespace
}  // namespace mmprm::cuda
