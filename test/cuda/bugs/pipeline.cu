// A small gemm of sm_80's kind: three stages of cp.async, ldmatrix, mma.sync.
#include "bugs/bugs.h"

namespace mmprm::bugs {
namespace {

constexpr int kFeatures = 64, kTokens = 16, kDepth = 32, kStages = 3, kRow = kDepth + 8;

struct Tile {
  bf16 x[kStages][kTokens][kRow];
  bf16 w[kStages][kFeatures][kRow];
};

template <Bug kBug>
__global__ void gemm(const bf16* w, const bf16* x, float* y, int K) {
  Tile& tile = *dynamic_shared<Tile>();
  const int thread = int(threadIdx.x), lane = thread % 32, warp = thread / 32, steps = K / kDepth;
  const auto fetch = [&](int step) {
    const int stage = step % kStages, k0 = step * kDepth;
    for (int i = thread; i < kFeatures * 4; i += 128)
      copy_async16(&tile.w[stage][i / 4][i % 4 * 8], w + size_t(i / 4) * K + k0 + i % 4 * 8, true);
    if (thread < kTokens * 4)
      copy_async16(&tile.x[stage][thread / 4][thread % 4 * 8],
                   x + size_t(thread / 4) * K + k0 + thread % 4 * 8, true);
  };
  float sums[2][4] = {};
  for (int s = 0; s < kStages - 1; ++s) {
    fetch(s);
    copy_commit();
  }
  for (int s = 0; s < steps; ++s) {
    copy_wait<kBug == Bug::kWaitTooLittle ? kStages - 1 : kStages - 2>();
    if (kBug != Bug::kNoSync) __syncthreads();
    const int ahead =
        kBug == Bug::kOverwrite && s > 0 ? kStages : kStages - 1;  // its stage is the one in use
    if (s + ahead < steps) fetch(s + ahead);
    if (kBug == Bug::kOverwrite && s == 0 && kStages < steps) fetch(kStages);
    copy_commit();
    const int stage = s % kStages;
    for (int k = 0; k < kDepth; k += 16) {
      uint32_t a[4], b[4];
      const int past = kBug == Bug::kRowPastTile && s == steps - 1 ? kFeatures * kStages : 0;
      load_matrix4(
          a, &tile.w[stage][warp * 16 + lane % 16 + past][k + lane / 16 * 8 + (kBug == Bug::kMisaligned)]);
      load_matrix4(b, &tile.x[stage][lane / 16 * 8 + lane % 8][k + lane / 8 % 2 * 8]);
      mma(sums[0], a, b[0], b[1]);
      mma(sums[1], a, b[2], b[3]);
    }
  }
  if (kBug != Bug::kNoDrain) copy_wait<0>();
  for (int n = 0; n < 2; ++n)
    for (int i = 0; i < 4; ++i)
      y[size_t(n * 8 + lane % 4 * 2 + (i & 1)) * kFeatures + warp * 16 + lane / 4 + (i >> 1) * 8] =
          sums[n][i];
}

template <Bug kBug>
bool run() {
  const int K = 6 * kDepth;
  const std::vector<bf16> w = whole_numbers(size_t(kFeatures) * K, 1),
                          x = whole_numbers(size_t(kTokens) * K, 2);
  Array<bf16> dw(w), dx(x);
  Array<float> y(size_t(kFeatures) * kTokens);
  launch(gemm<kBug>, dim3(1), dim3(128), sizeof(Tile), nullptr, dw.p, dx.p, y.p, K);
  return is_product(y.get(), w, x, kFeatures, kTokens, K);
}

}  // namespace

bool pipeline(Bug bug) {
  switch (bug) {
    case Bug::kNoSync:
      return run<Bug::kNoSync>();
    case Bug::kWaitTooLittle:
      return run<Bug::kWaitTooLittle>();
    case Bug::kOverwrite:
      return run<Bug::kOverwrite>();
    case Bug::kNoDrain:
      return run<Bug::kNoDrain>();
    case Bug::kMisaligned:
      return run<Bug::kMisaligned>();
    case Bug::kRowPastTile:
      return run<Bug::kRowPastTile>();
    default:
      return run<Bug::kNone>();
  }
}

}  // namespace mmprm::bugs
