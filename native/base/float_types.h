// Conversions between float, bfloat16 and IEEE half, bit exact with round-to-nearest-even.
// Scalar on purpose: the wide kernels have their own.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>

#include "include/engine/types.h"

namespace mmprm {

inline float bf16_to_f32(uint16_t h) { return std::bit_cast<float>(static_cast<uint32_t>(h) << 16); }

inline uint16_t f32_to_bf16(float f) {
  const uint32_t bits = std::bit_cast<uint32_t>(f);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);  // quiet NaN
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

inline float f16_to_f32(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
  const uint32_t exponent = (h >> 10) & 31u, mantissa = h & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;  // subnormal or zero, exact
  return sign ? -magnitude : magnitude;
}

// Element `i` of a possibly unaligned array of `dtype`, as float.
inline float load_as_f32(const void* data, DType dtype, size_t i) {
  const char* at = static_cast<const char*>(data) + i * dtype_bytes(dtype);
  if (dtype == DType::kF32) {
    float f;
    std::memcpy(&f, at, 4);
    return f;
  }
  uint16_t h;
  std::memcpy(&h, at, 2);
  return dtype == DType::kBF16 ? bf16_to_f32(h) : f16_to_f32(h);
}

// Stores `value` as element `i` of an aligned array of F32 or BF16.
inline void store_from_f32(void* data, DType dtype, size_t i, float value) {
  if (dtype == DType::kF32) {
    static_cast<float*>(data)[i] = value;
  } else {
    static_cast<uint16_t*>(data)[i] = f32_to_bf16(value);
  }
}

}  // namespace mmprm
