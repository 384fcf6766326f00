// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3"
// (SC 2011). A block of four words is a pure function of counter and key: no state, any order, any thread.
#pragma once
#include <array>
#include <cstdint>

namespace mmprm {

using PhiloxCounter = std::array<uint32_t, 4>;
using PhiloxKey = std::array<uint32_t, 2>;

constexpr PhiloxCounter philox4x32(PhiloxCounter counter, PhiloxKey key) {
  constexpr int kRounds = 10;
  constexpr uint64_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
  constexpr uint32_t kKeyStep0 = 0x9E3779B9, kKeyStep1 = 0xBB67AE85;
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t product0 = kMultiplier0 * counter[0], product1 = kMultiplier1 * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(product0)};
    key = {key[0] + kKeyStep0, key[1] + kKeyStep1};
  }
  return counter;
}

constexpr PhiloxKey philox_key(uint64_t seed) {
  return {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
}

// A double in [0, 1) with 53 random bits, from the first two words of a block.
constexpr double philox_uniform(const PhiloxCounter& block) {
  const uint64_t bits = (uint64_t{block[0]} << 21) | (block[1] >> 11);
  return static_cast<double>(bits) * 0x1p-53;
}

// Uniform number in [0, 1) for the token at `position` (its index in the sequence) of sample `sample`.
constexpr double sampling_uniform(uint64_t seed, uint32_t sample, uint32_t position) {
  constexpr uint32_t kTokenDraw = 0;  // the last counter word names the purpose
  return philox_uniform(philox4x32({0, position, sample, kTokenDraw}, philox_key(seed)));
}

}  // namespace mmprm
