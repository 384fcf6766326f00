// Data for cases: memory that shows what was read or written where it must not be, numbers, bits compared.
#pragma once
#include <cmath>
#include <cstring>

#include "base/float_types.h"
#include "cpu/aligned_buffer.h"
#include "kernels/kernel_case.h"

namespace mmprm {

// Largest relative error of one rounding to `dtype`.
constexpr double rounding_of(DType dtype) { return dtype == DType::kBF16 ? 0x1p-8 : 0x1p-24; }

constexpr const char* dtype_name(DType dtype) {
  constexpr const char* kNames[] = {"f32", "bf16", "f16", "int8", "int4"};
  return kNames[int(dtype)];
}

// A block that is NaN in every dtype until written to, between guards that must stay as they are.
class GuardedBlock {
 public:
  explicit GuardedBlock(size_t bytes) : bytes_(bytes), storage_(bytes + 2 * kGuardBytes) {
    std::memset(storage_.data(), kPoison, bytes + 2 * kGuardBytes);
  }
  std::byte* data() const { return storage_.data() + kGuardBytes; }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data());
  }
  size_t size_bytes() const { return bytes_; }

  // Whether bytes [begin, begin + count) of the block are still as at the start.
  bool untouched(int64_t begin, int64_t count) const {
    for (int64_t i = begin; i < begin + count; ++i) {
      if (data()[i] != std::byte{kPoison}) return false;
    }
    return true;
  }
  void require_guards(const std::string& what) const {
    require(untouched(-int64_t{kGuardBytes}, kGuardBytes), what + " was written to before its beginning");
    require(untouched(int64_t(bytes_), kGuardBytes), what + " was written to behind its end");
  }

 private:
  static constexpr size_t kGuardBytes = 128;
  static constexpr uint8_t kPoison = 0xff;
  size_t bytes_;
  AlignedBuffer storage_;
};

inline void require_same_bits(const std::byte* a, const std::byte* b, size_t bytes, const std::string& when) {
  if (std::memcmp(a, b, bytes) == 0) return;
  size_t i = 0;
  while (a[i] == b[i]) ++i;
  throw CheckFailed("other bits " + when + ", first at byte " + std::to_string(i));
}

inline void require_close(double actual, double expected, double error, const std::string& where) {
  if (std::fabs(actual - expected) <= error) return;  // false for NaN as well
  throw CheckFailed(where + " is " + std::to_string(actual) + ", not " + std::to_string(expected) +
                    " within " + std::to_string(error));
}

// A small generator of its own, so that cases are the same everywhere.
class CaseRandom {
 public:
  explicit CaseRandom(uint64_t seed) : state_(seed * 2 + 1) {}
  uint32_t bits() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return uint32_t(state_ >> 32);
  }
  int below(int n) { return int(uint64_t{bits()} * uint64_t(n) >> 32); }
  // Nearly normal, of unit variance: four uniform numbers.
  float normal() {
    float sum = 0;
    for (int i = 0; i < 4; ++i) sum += float(int32_t(bits())) * 0x1p-31f;
    return sum * 0.8660254f;
  }

 private:
  uint64_t state_;
};

}  // namespace mmprm
