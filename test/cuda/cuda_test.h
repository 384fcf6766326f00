// What tests of CUDA code share: memory of the device as a vector, calls that must succeed, random numbers.
#pragma once
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "cuda/ptx.h"
#include "harness.h"

namespace mmprm::cuda {

#define CUDA_OK(call)                                                                                       \
  do {                                                                                                      \
    const cudaError_t cuda_error_ = (call);                                                                 \
    if (cuda_error_ != cudaSuccess)                                                                         \
      ::mmprm::check_failed(__FILE__, __LINE__, std::string(#call) + ": " + cudaGetErrorName(cuda_error_)); \
  } while (0)

// An array in device memory; what was not written is NaN.
template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t n) : n_(n) {
    CUDA_OK(cudaMalloc(&p_, n * sizeof(T)));
    CUDA_OK(cudaMemset(p_, 0xff, n * sizeof(T)));
    CUDA_OK(cudaDeviceSynchronize());  // streams that do not block would not wait for it
  }
  explicit DeviceArray(const std::vector<T>& v) : DeviceArray(v.size()) {
    CUDA_OK(cudaMemcpy(p_, v.data(), n_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() { cudaFree(p_); }
  T* data() const { return p_; }
  size_t size() const { return n_; }
  std::vector<T> get() const {
    std::vector<T> v(n_);
    CUDA_OK(cudaMemcpy(v.data(), p_, n_ * sizeof(T), cudaMemcpyDeviceToHost));
    return v;
  }
  T at(size_t i) const { return get()[i]; }

 private:
  T* p_ = nullptr;
  size_t n_;
};

inline bf16 round_bf16(float f) {  // f is no NaN
  uint32_t b;
  std::memcpy(&b, &f, 4);
  return bf16((b + 0x7fff + (b >> 16 & 1)) >> 16);
}

// Normal numbers, exponents spread by up to `spread` either way.
inline std::vector<bf16> random_bf16(size_t n, uint32_t seed, int spread = 0) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<bf16> v(n);
  for (bf16& e : v)
    e = round_bf16(std::ldexp(normal(random), spread ? int(random() % (2 * spread + 1)) - spread : 0));
  return v;
}

// First difference in bits, NaN equal to NaN; empty where there is none.
inline std::string bit_difference(const std::vector<float>& got, const std::vector<float>& want) {
  if (got.size() != want.size())
    return "sizes " + std::to_string(got.size()) + " and " + std::to_string(want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::memcmp(&got[i], &want[i], 4) != 0 && !(got[i] != got[i] && want[i] != want[i])) {
      std::ostringstream out;
      out.precision(9);
      out << "at " << i << ": " << got[i] << ", expected " << want[i];
      return out.str();
    }
  }
  return "";
}

}  // namespace mmprm::cuda
