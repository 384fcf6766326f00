// A small gemm of sm_90a's kind: one thread keeps two stages of TMA copies in flight, two warpgroups multiply.
#include "bugs/bugs.h"

namespace mmprm::bugs {
namespace {

constexpr int kTokens = 8, kDepth = 64, kStages = 2, kFeatures = 128;

struct Tile {
  bf16 w[kStages][kFeatures * kDepth];
  bf16 x[kStages][kTokens * kDepth];
  uint64_t full[kStages], empty[kStages];
};

template <Bug kBug>
__global__ void ring(const __grid_constant__ TensorMap map_w, const __grid_constant__ TensorMap map_x,
                     float* y, int steps) {
  Tile& tile = *dynamic_shared<Tile>();
  // One arrival per warp. WHY not per warpgroup: its four warps may be apart, and each waits for its own part only.
  constexpr int kArrivals = kBug == Bug::kOneArrival ? 2 : 8;
  const int thread = int(threadIdx.x), group = thread / 128;
  if (thread == 0) {
    for (int s = 0; s < kStages; ++s) {
      barrier_init(&tile.full[s], 1);
      barrier_init(&tile.empty[s], kArrivals);
    }
    if (kBug != Bug::kNoInitFence) barrier_init_done();
  }
  __syncthreads();
  if (group == 0) {
    registers_down<40>();
    for (int s = 0; thread == 0 && s < steps; ++s) {
      const int stage = s % kStages;
      const uint32_t parity = uint32_t(s / kStages & 1) ^ (kBug == Bug::kWrongParity ? 0 : 1);
      if (kBug != Bug::kNoEmptyWait) barrier_wait(&tile.empty[stage], parity);
      barrier_arrive_expect(&tile.full[stage], (kFeatures + kTokens) * kDepth * 2);
      tile_load(tile.w[stage], &map_w, s * kDepth, 0, &tile.full[stage]);
      tile_load(tile.x[stage], &map_x, s * kDepth, 0, &tile.full[stage]);
    }
    return;
  }
  constexpr int kAway = 5;  // a warp
  if (kBug != Bug::kWarpKeeps || thread / 32 != kAway)
    registers_up<kBug == Bug::kTooManyRegisters ? 240 : 232>();
  if (kBug == Bug::kBarrierWritten && thread == 128) reinterpret_cast<bf16*>(tile.full)[thread - 128] = 0;
  float sums[kTokens / 2];
  for (int s = 0; s < steps; ++s) {
    const int stage = s % kStages;
    barrier_wait(&tile.full[stage], uint32_t(s / kStages & 1));
    const uint64_t a = tile_descriptor(tile.w[stage] + (group - 1) * 64 * kDepth),
                   b = tile_descriptor(tile.x[stage]);
    wgmma_fence();
    for (int k = kBug == Bug::kWarpAway && thread / 32 == kAway && s == 1; k < kDepth / 16; ++k)
      wgmma_ss<false>(sums, a + uint64_t(2 * k), b + uint64_t(2 * k), s + k > 0);
    wgmma_commit();
    wgmma_wait<kBug == Bug::kEarlyRelease ? 1 : 0>();
    if (thread % (256 / kArrivals) == 0) barrier_arrive(&tile.empty[stage]);
  }
  wgmma_wait<0>();
  const int lane = thread % 32, f0 = (group - 1) * 64 + thread / 32 % 4 * 16 + lane / 4;
  for (int i = 0; i < 4; ++i) y[(lane % 4 * 2 + (i & 1)) * kFeatures + f0 + (i >> 1) * 8] = sums[i];
}

template <Bug kBug>
bool run() {
  const int steps = 5, K = steps * kDepth;
  const std::vector<bf16> w = whole_numbers(size_t(kFeatures) * K, 1),
                          x = whole_numbers(size_t(kTokens) * K, 2);
  Array<bf16> dw(w), dx(x);
  Array<float> y(size_t(kFeatures) * kTokens);
  TensorMap map_w, map_x;
  make_tensor_map(&map_w, dw.p, {TileElement::kBF16, uint64_t(K), kFeatures, uint64_t(K) * 2, 64, kFeatures});
  make_tensor_map(&map_x, dx.p, {TileElement::kBF16, uint64_t(K), kTokens, uint64_t(K) * 2, 64, kTokens});
  launch(ring<kBug>, dim3(1), dim3(384), sizeof(Tile), nullptr, map_w, map_x, y.p, steps);
  return is_product(y.get(), w, x, kFeatures, kTokens, K);
}

}  // namespace

bool hopper_ring(Bug bug) {
  switch (bug) {
    case Bug::kNoEmptyWait:
      return run<Bug::kNoEmptyWait>();
    case Bug::kWrongParity:
      return run<Bug::kWrongParity>();
    case Bug::kEarlyRelease:
      return run<Bug::kEarlyRelease>();
    case Bug::kOneArrival:
      return run<Bug::kOneArrival>();
    case Bug::kTooManyRegisters:
      return run<Bug::kTooManyRegisters>();
    case Bug::kWarpKeeps:
      return run<Bug::kWarpKeeps>();
    case Bug::kWarpAway:
      return run<Bug::kWarpAway>();
    case Bug::kBarrierWritten:
      return run<Bug::kBarrierWritten>();
    case Bug::kOtherChips:
      emu::options().chips = emu::Chips::kBlackwell;
      return run<Bug::kNone>();
    case Bug::kNoInitFence:
      return run<Bug::kNoInitFence>();
    default:
      return run<Bug::kNone>();
  }
}

}  // namespace mmprm::bugs
