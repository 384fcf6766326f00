// From a tensor to its memory. Backends and their tests include this, nobody else (floors.test.ts).
#pragma once
#include <cstddef>

#include "device/tensor.h"

namespace mmprm {

inline Address address_of(const void* memory) { return {reinterpret_cast<uint64_t>(memory)}; }

inline std::byte* memory_of(const Tensor& t) { return reinterpret_cast<std::byte*>(t.at.value); }

template <typename T>
T* row_of(const Tensor& t, int64_t row) {
  return reinterpret_cast<T*>(memory_of(t)) + row * t.stride;
}

}  // namespace mmprm
