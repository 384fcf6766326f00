// The emulator's instructions against formulas written element by element.
#include "cuda_test.h"
#include "emulator/tensor_core.h"

namespace mmprm::cuda {
namespace {

// ---- mma.sync: one warp, operands from memory by the documented layout

__global__ void mma_kernel(const bf16* a, const bf16* b, const float* c, float* d) {
  const int lane = threadIdx.x, g = lane / 4, t = lane % 4 * 2;
  uint32_t ra[4], rb[2];
  for (int i = 0; i < 4; ++i)
    ra[i] = *reinterpret_cast<const uint32_t*>(a + (g + (i & 1) * 8) * 16 + t + (i >> 1) * 8);
  for (int i = 0; i < 2; ++i) rb[i] = *reinterpret_cast<const uint32_t*>(b + g * 16 + t + i * 8);
  float sums[4];
  for (int i = 0; i < 4; ++i) sums[i] = c[(g + (i >> 1) * 8) * 8 + t + (i & 1)];
  mma(sums, ra, rb[0], rb[1]);
  for (int i = 0; i < 4; ++i) d[(g + (i >> 1) * 8) * 8 + t + (i & 1)] = sums[i];
}

TEST(cuda_mma_adds_as_a_tensor_core) {
  for (emu::Chips chips : {emu::Chips::kHopper, emu::Chips::kAmpere}) {
    emu::options().chips = chips;
    for (int spread : {0, 3, 12}) {
      const std::vector<bf16> a = random_bf16(16 * 16, 1, spread), b = random_bf16(8 * 16, 2, spread);
      std::vector<float> c(16 * 8), want(16 * 8);
      for (size_t i = 0; i < c.size(); ++i) c[i] = widen(a[i]) * 3;
      for (int m = 0; m < 16; ++m)
        for (int n = 0; n < 8; ++n) {
          uint16_t x[16], y[16];
          std::memcpy(x, &a[size_t(m) * 16], 32);
          std::memcpy(y, &b[size_t(n) * 16], 32);
          want[size_t(m) * 8 + n] = emu::dot16(chips, emu::Split16(x), emu::Split16(y), c[size_t(m) * 8 + n]);
        }
      DeviceArray<bf16> da(a), db(b);
      DeviceArray<float> dc(c), dd(c.size());
      CUDA_OK(launch(mma_kernel, dim3(1), dim3(32), 0, nullptr, da.data(), db.data(), dc.data(), dd.data()));
      CHECK_EQ(bit_difference(dd.get(), want), "");
    }
  }
}

// Whole numbers: every order and every cut gives the one exact sum.
TEST(cuda_tensor_core_is_exact_on_small_whole_numbers) {
  std::mt19937 random(3);
  for (int i = 0; i < 1000; ++i) {
    uint16_t x[16], y[16];
    float sum = float(int(random() % 4001) - 2000);
    const float c = sum;
    for (int k = 0; k < 16; ++k) {
      const float p = float(int(random() % 65) - 32), q = float(int(random() % 65) - 32);
      x[k] = round_bf16(p);
      y[k] = round_bf16(q);
      sum += p * q;
    }
    for (emu::Chips chips : {emu::Chips::kHopper, emu::Chips::kAmpere})
      CHECK_EQ(emu::dot16(chips, emu::Split16(x), emu::Split16(y), c), sum);
  }
}

TEST(cuda_tensor_core_specials) {
  const auto dot = [](uint16_t a, uint16_t b, float c) {
    uint16_t x[16] = {a}, y[16] = {b};
    return emu::dot16(emu::Chips::kHopper, emu::Split16(x), emu::Split16(y), c);
  };
  const float infinite = HUGE_VALF;
  CHECK_EQ(dot(0x7f80, 0x3f80, 1.0f), infinite);      // inf · 1
  CHECK(std::isnan(dot(0x7f80, 0x0000, 1.0f)));       // inf · 0
  CHECK(std::isnan(dot(0x7f80, 0x3f80, -infinite)));  // inf - inf
  CHECK(std::isnan(dot(0x7fc0, 0x3f80, 0.0f)));
  CHECK_EQ(dot(0x7f7f, 0x7f7f, 0.0f), infinite);                // overflow
  CHECK_EQ(dot(0x0001, 0x3f80, 0.0f), std::ldexp(1.0f, -133));  // subnormals are kept
  CHECK_EQ(dot(0, 0, 1e-45f), 1e-45f);
}

// ---- 8-bit mma

__global__ void int8_kernel(const uint8_t* a, const uint8_t* b, int* d, bool b_signed) {
  const int lane = threadIdx.x, g = lane / 4, t = lane % 4 * 4;
  uint32_t ra[4], rb[2];
  for (int i = 0; i < 4; ++i)
    ra[i] = *reinterpret_cast<const uint32_t*>(a + (g + (i & 1) * 8) * 32 + t + (i >> 1) * 16);
  for (int i = 0; i < 2; ++i) rb[i] = *reinterpret_cast<const uint32_t*>(b + g * 32 + t + i * 16);
  int sums[4] = {1, 2, 3, 4};
  if (b_signed)
    mma_s8s8(sums, ra, rb[0], rb[1]);
  else
    mma_s8u8(sums, ra, rb[0], rb[1]);
  for (int i = 0; i < 4; ++i) d[(g + (i >> 1) * 8) * 8 + lane % 4 * 2 + (i & 1)] = sums[i];
}

TEST(cuda_mma_int8_is_exact) {
  std::mt19937 random(4);
  std::vector<uint8_t> a(16 * 32), b(8 * 32);
  for (auto* v : {&a, &b})
    for (uint8_t& e : *v) e = uint8_t(random());
  DeviceArray<uint8_t> da(a), db(b);
  for (bool b_signed : {true, false}) {
    DeviceArray<int> d(16 * 8);
    CUDA_OK(launch(int8_kernel, dim3(1), dim3(32), 0, nullptr, da.data(), db.data(), d.data(), b_signed));
    const std::vector<int> got = d.get();
    for (int m = 0; m < 16; ++m)
      for (int n = 0; n < 8; ++n) {
        int want = 1 + (m >= 8 ? 2 : 0) + n % 2;
        for (int k = 0; k < 32; ++k)
          want += int8_t(a[size_t(m) * 32 + k]) *
                  (b_signed ? int8_t(b[size_t(n) * 32 + k]) : b[size_t(n) * 32 + k]);
        CHECK_EQ(got[size_t(m) * 8 + n], want);
      }
  }
}

// ---- ldmatrix and stmatrix: through shared memory and back, turned over or not

__global__ void matrix_kernel(const bf16* in, bf16* out, bool turn_load, bool turn_store) {
  bf16* tile = dynamic_shared<bf16>();
  const int lane = threadIdx.x;
  for (int i = lane; i < 256; i += 32) tile[i] = in[i];
  __syncwarp();
  uint32_t r[4];
  if (turn_load)
    load_matrix4_transposed(r, tile + lane * 8);
  else
    load_matrix4(r, tile + lane * 8);
  __syncwarp();
  if (turn_store)
    store_matrix4_transposed(tile + lane * 8, r);
  else
    store_matrix4(tile + lane * 8, r);
  __syncwarp();
  for (int i = lane; i < 256; i += 32) out[i] = tile[i];
}

TEST(cuda_matrices_turn_over) {
  std::vector<bf16> in(256);
  for (size_t i = 0; i < in.size(); ++i) in[i] = bf16(i);
  DeviceArray<bf16> d(in);
  for (int turns = 0; turns < 4; ++turns) {
    DeviceArray<bf16> out(256);
    CUDA_OK(
        launch(matrix_kernel, dim3(1), dim3(32), 512, nullptr, d.data(), out.data(), turns & 1, turns & 2));
    const std::vector<bf16> got = out.get();
    for (int m = 0; m < 4; ++m)
      for (int r = 0; r < 8; ++r)
        for (int c = 0; c < 8; ++c) {
          const bool turned = turns == 1 || turns == 2;
          CHECK_EQ(got[size_t(m) * 64 + r * 8 + c], in[size_t(m) * 64 + (turned ? c * 8 + r : r * 8 + c)]);
        }
  }
}

// ---- shuffles and votes

__global__ void shuffle_kernel(int* out) {
  const int lane = threadIdx.x, v = lane * lane;
  out[lane] = __shfl_xor_sync(~0u, v, 5);
  out[32 + lane] = __shfl_down_sync(~0u, v, 3, 8);
  out[64 + lane] = __shfl_up_sync(~0u, v, 3);
  out[96 + lane] = __shfl_sync(~0u, v, 2, 8);
  out[128 + lane] = int(__ballot_sync(~0u, lane % 3 == 0));
  const double wide = __shfl_xor_sync(~0u, 1.0 / (lane + 1), 1);
  out[160 + lane] = wide == 1.0 / ((lane ^ 1) + 1);
}

TEST(cuda_shuffles) {
  DeviceArray<int> d(192);
  CUDA_OK(launch(shuffle_kernel, dim3(1), dim3(32), 0, nullptr, d.data()));
  const std::vector<int> got = d.get();
  unsigned thirds = 0;
  for (int l = 0; l < 32; l += 3) thirds |= 1u << l;
  for (int l = 0; l < 32; ++l) {
    const auto square = [](int x) { return x * x; };
    CHECK_EQ(got[l], square(l ^ 5));
    CHECK_EQ(got[32 + l], square(l % 8 < 5 ? l + 3 : l));
    CHECK_EQ(got[64 + l], square(l >= 3 ? l - 3 : l));
    CHECK_EQ(got[96 + l], square(l / 8 * 8 + 2));
    CHECK_EQ(unsigned(got[128 + l]), thirds);
    CHECK_EQ(got[160 + l], 1);
  }
}

}  // namespace
}  // namespace mmprm::cuda
