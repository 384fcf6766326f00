// roof: loops that do nothing but the one thing a processor limits, for percentages in the benchmark.
// Not an op: no table holds it and the addon does not contain it.
#pragma once
#include <cstddef>
#include <cstdint>

#include "include/engine/types.h"

namespace mmprm {

struct RoofLoops {
  static constexpr int kChains = 12;  // independent accumulators: more than latency × throughput anywhere
  int lanes;                          // of one vector, f32

  // `rounds` times kChains fused multiply-adds: 2 · lanes · kChains flops each. The result depends on all.
  float (*f32_fma)(int64_t rounds);
  // The same with bf16 dot products: 4 · lanes · kChains flops. Null where the instruction set has none.
  float (*bf16_dot)(int64_t rounds);
  // Reads whole 256-byte blocks of an aligned range.
  int64_t (*read)(const std::byte* data, size_t bytes);
};

const RoofLoops& roof_loops(Isa isa);  // not for Isa::kReference

}  // namespace mmprm
