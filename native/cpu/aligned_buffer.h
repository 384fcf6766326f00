// Owner of one 64-byte aligned, zero-filled block; grows, never shrinks. Allocation failure is a typed error.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "include/engine/error.h"

namespace mmprm {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t bytes) { reserve(bytes); }

  std::byte* data() const { return data_.get(); }
  size_t size_bytes() const { return bytes_; }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data_.get());
  }

  // Makes at least `bytes` available. New memory is zero; old contents are lost when the block has to grow.
  void reserve(size_t bytes) {
    if (bytes <= bytes_) return;
    const size_t rounded = (bytes + 63) / 64 * 64;
    data_.reset();
    bytes_ = 0;
    void* fresh = std::aligned_alloc(64, rounded);
    if (!fresh) {
      throw Error(ErrorCode::kOutOfMemory, "cannot allocate " + std::to_string(rounded >> 20) + " MiB");
    }
    std::memset(fresh, 0, rounded);
    data_.reset(static_cast<std::byte*>(fresh));
    bytes_ = rounded;
  }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
  size_t bytes_ = 0;
};

}  // namespace mmprm
