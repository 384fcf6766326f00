// Memory of a device that frees itself, and calls of the runtime that throw.
#pragma once
#include <string>
#include <utility>

#include "cuda/runtime.h"
#include "include/engine/error.h"

namespace mmprm::cuda {

inline void check(cudaError_t e, const char* what) {
  if (e == cudaSuccess) return;
  const ErrorCode code = e == cudaErrorMemoryAllocation ? ErrorCode::kOutOfMemory : ErrorCode::kDeviceFault;
  throw Error(code, std::string(what) + ": " + cudaGetErrorName(e) + " (" + cudaGetErrorString(e) + ")");
}

class DeviceMemory {
 public:
  DeviceMemory() = default;
  explicit DeviceMemory(size_t bytes) {
    const cudaError_t e = cudaMalloc(&p_, bytes > 0 ? bytes : 1);
    if (e == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // it is no fault of the device
      throw Error(ErrorCode::kOutOfMemory,
                  "the device cannot allocate " + std::to_string(bytes >> 20) + " MiB");
    }
    check(e, "cudaMalloc");
    bytes_ = bytes;
  }
  DeviceMemory(DeviceMemory&& other) noexcept { swap(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    swap(other);
    return *this;
  }
  ~DeviceMemory() { cudaFree(p_); }

  template <typename T = std::byte>
  T* as() const {
    return static_cast<T*>(p_);
  }
  size_t bytes() const { return bytes_; }

 private:
  void swap(DeviceMemory& other) {
    std::swap(p_, other.p_);
    std::swap(bytes_, other.bytes_);
  }
  void* p_ = nullptr;
  size_t bytes_ = 0;
};

// Host memory that copies may read and write while the host goes on.
class PinnedMemory {
 public:
  PinnedMemory() = default;
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;
  ~PinnedMemory() { cudaFreeHost(p_); }

  // Old contents are lost when it grows. Nothing may be using it then.
  void reserve(size_t bytes) {
    if (bytes <= bytes_) return;
    cudaFreeHost(p_);
    p_ = nullptr, bytes_ = 0;
    check(cudaHostAlloc(&p_, bytes + bytes / 2, cudaHostAllocDefault), "cudaHostAlloc");
    bytes_ = bytes + bytes / 2;
  }
  std::byte* data() const { return static_cast<std::byte*>(p_); }

 private:
  void* p_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace mmprm::cuda
