// A 128-bit hash of bytes, to recognise equal content. Two independent lanes of multiply-and-fold over 64-bit
// words; fast, and not meant to withstand an adversary.
#pragma once
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace mmprm {

struct ContentHash {
  uint64_t low = 0, high = 0;
  auto operator<=>(const ContentHash&) const = default;
};

inline ContentHash content_hash(const void* data, size_t num_bytes) {
  const auto fold = [](uint64_t a, uint64_t b) {
    const auto product = static_cast<unsigned __int128>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  };
  constexpr uint64_t kLow = 0x9E3779B97F4A7C15, kHigh = 0xD1B54A32D192ED03;
  uint64_t low = num_bytes ^ kLow, high = num_bytes ^ kHigh;
  const char* at = static_cast<const char*>(data);
  for (size_t left = num_bytes; left > 0;) {
    uint64_t word = 0;
    const size_t count = left < sizeof word ? left : sizeof word;
    std::memcpy(&word, at, count);
    low = fold(low ^ word, kLow) + (low << 1);
    high = fold(high + word, kHigh) ^ (high >> 7);
    at += count;
    left -= count;
  }
  return {fold(low ^ high, kLow) ^ low, fold(high ^ low, kHigh) ^ high};
}

}  // namespace mmprm
