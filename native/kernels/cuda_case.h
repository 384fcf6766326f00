// Cases of CUDA kernels: one source, compiled by nvcc for a card and by a C++ compiler for the emulator.
//
// A case runs an op on data of its own, checks what it must be (a bound against double, equal bits of configurations,
// nothing written outside), and answers a hash of the outputs. The emulator's hashes are what a card of that class
// must give (kernel_hashes.txt).
#pragma once
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/runtime.h"
#include "include/engine/types.h"
#include "kernels/gemm/gemm_cuda.h"

namespace mmprm::cuda {

struct CheckFailed : std::runtime_error {
  using std::runtime_error::runtime_error;
};
inline void require(bool condition, const std::string& message) {
  if (!condition) throw CheckFailed(message);
}
inline void require_ok(cudaError_t e, const std::string& what) {
  require(e == cudaSuccess, what + ": " + cudaGetErrorString(e));
}

// The card, or what the emulator plays.
struct Chip {
  ChipClass chip_class;
  const char* result_class;
  int multiprocessors;

  static Chip current() {
    int major = 0, processors = 0;
    require_ok(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0), "compute capability");
    require_ok(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, 0), "multiprocessors");
    return {cuda::chip_class(major), cuda::result_class(major), processors};
  }
};

// Numbers from whole-number arithmetic alone: the same on every machine.
class CaseNumbers {
 public:
  explicit CaseNumbers(uint64_t seed) : state_(seed * 2 + 1) {}
  uint32_t bits() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return uint32_t(state_ >> 32);
  }
  int below(int n) { return int(uint64_t{bits()} * uint64_t(n) >> 32); }
  // Nearly normal, of unit variance.
  float normal() {
    int sum = 0;
    for (int i = 0; i < 4; ++i) sum += int(bits() >> 20);
    return float(sum - 2 * 4095) * 0x1.bb67aep-12f;
  }

 private:
  uint64_t state_;
};

inline uint16_t bf16_of(float f) {
  uint32_t u;
  std::memcpy(&u, &f, 4);
  return (u & 0x7fffffffu) > 0x7f800000u ? 0x7fff : uint16_t((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
inline float float_of(uint16_t h) {
  const uint32_t u = uint32_t(h) << 16;
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}

// Device memory full of NaN, between guards, with a copy on the host.
class DeviceBlock {
 public:
  explicit DeviceBlock(size_t bytes) : bytes_(bytes), host_(bytes + 2 * kGuard, 0xff) {
    require_ok(cudaMalloc(&memory_, host_.size()), "cudaMalloc");
    upload();
  }
  ~DeviceBlock() { cudaFree(memory_); }
  DeviceBlock(const DeviceBlock&) = delete;
  DeviceBlock& operator=(const DeviceBlock&) = delete;

  std::byte* device() const { return static_cast<std::byte*>(memory_) + kGuard; }
  template <typename T>
  T* device_as() const {
    return reinterpret_cast<T*>(device());
  }
  template <typename T>
  T* host_as() {
    return reinterpret_cast<T*>(host_.data() + kGuard);
  }
  size_t bytes() const { return bytes_; }
  void upload() {
    require_ok(cudaMemcpy(memory_, host_.data(), host_.size(), cudaMemcpyHostToDevice), "upload");
  }
  // Reads back, and checks the guards.
  void download(const std::string& what) {
    require_ok(cudaDeviceSynchronize(), what);
    require_ok(cudaMemcpy(host_.data(), memory_, host_.size(), cudaMemcpyDeviceToHost), what);
    for (size_t i = 0; i < kGuard; ++i) {
      require(host_[i] == 0xff, what + ": written before the beginning");
      require(host_[kGuard + bytes_ + i] == 0xff, what + ": written behind the end");
    }
  }
  void poison() {
    std::fill(host_.begin(), host_.end(), uint8_t(0xff));
    upload();
  }

 private:
  static constexpr size_t kGuard = 256;
  size_t bytes_;
  void* memory_ = nullptr;
  std::vector<uint8_t> host_;
};

// Rows of F32 or BF16 in such a block; what lies between rows is NaN and must stay so.
class DeviceRows {
 public:
  DeviceRows(DType dtype, int rows, int cols, int64_t stride)
      : dtype(dtype),
        rows(rows),
        cols(cols),
        stride(stride),
        block(size_t(rows) * stride * dtype_bytes(dtype)) {}

  float get(int64_t row, int64_t col) {
    const int64_t i = row * stride + col;
    return dtype == DType::kF32 ? block.host_as<float>()[i] : float_of(block.host_as<uint16_t>()[i]);
  }
  void set(int64_t row, int64_t col, float v) {
    const int64_t i = row * stride + col;
    if (dtype == DType::kF32) {
      block.host_as<float>()[i] = v;
    } else {
      block.host_as<uint16_t>()[i] = bf16_of(v);
    }
  }
  void fill_normal(CaseNumbers& numbers, float scale = 1) {
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < cols; ++c) set(r, c, numbers.normal() * scale);
    }
    block.upload();
  }
  void download(const std::string& what) {
    block.download(what);
    const size_t size = dtype_bytes(dtype);
    for (int r = 0; r < rows; ++r) {
      const uint8_t* row = block.host_as<uint8_t>() + size_t(r) * stride * size;
      for (size_t i = cols * size; i < stride * size; ++i) {
        require(row[i] == 0xff, what + ": written behind row " + std::to_string(r));
      }
    }
  }
  void* at(int64_t row = 0) const { return block.device() + row * stride * int64_t(dtype_bytes(dtype)); }
  // The bits of one element, every NaN alike.
  uint32_t bits(int64_t row, int64_t col) {
    const float f = get(row, col);
    uint32_t u;
    std::memcpy(&u, &f, 4);
    return f == f ? u : 0x7fffffffu;
  }

  DType dtype;
  int rows, cols;
  int64_t stride;
  DeviceBlock block;
};

class Hash {
 public:
  void add(uint32_t u) {
    for (int i = 0; i < 4; ++i) state_ = (state_ ^ (u >> 8 * i & 255)) * 0x100000001b3u;
  }
  void add(DeviceRows& rows) {
    for (int r = 0; r < rows.rows; ++r) {
      for (int c = 0; c < rows.cols; ++c) add(rows.bits(r, c));
    }
  }
  uint64_t value() const { return state_; }

 private:
  uint64_t state_ = 0xcbf29ce484222325u;
};

inline void require_same_bits(DeviceRows& a, int a_row, DeviceRows& b, int b_row, const std::string& when) {
  for (int c = 0; c < a.cols; ++c) {
    require(a.bits(a_row, c) == b.bits(b_row, c),
            "other bits " + when + ", row " + std::to_string(a_row) + " column " + std::to_string(c));
  }
}
inline void require_close(double actual, double expected, double error, const std::string& where) {
  if (std::fabs(actual - expected) <= error) return;  // false for NaN as well
  throw CheckFailed(where + " is " + std::to_string(actual) + ", not " + std::to_string(expected) +
                    " within " + std::to_string(error));
}

struct KernelCase {
  std::string name;                          // "gemm bf16 N=200 K=72 rows=5 store f32"
  std::function<uint64_t(const Chip&)> run;  // the outputs' hash; throws CheckFailed
};

// What the emulator gave: lines of class, hash, name. Made by kernel_check --record.
class KernelHashes {
 public:
  explicit KernelHashes(const std::string& path) {
    std::ifstream in(path);
    require(bool(in), "cannot read " + path);
    for (std::string line; std::getline(in, line);) {
      const size_t at = line.find(' ', line.find(' ') + 1);
      if (at == std::string::npos) continue;
      const std::string chip = line.substr(0, line.find(' '));
      hashes_[chip + line.substr(at)] = line.substr(chip.size() + 1, at - chip.size() - 1);
    }
  }
  void require_same(const Chip& chip, const std::string& name, uint64_t hash) const {
    const auto recorded = hashes_.find(std::string(chip.result_class) + " " + name);
    require(recorded != hashes_.end(), "no hash of it is recorded; kernel_check --record makes the file");
    require(recorded->second == hex(hash), "its hash is " + hex(hash) + ", recorded is " + recorded->second);
  }
  static std::string hex(uint64_t v) {
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(v));
    return text;
  }

 private:
  std::map<std::string, std::string> hashes_;  // by class and name
};

// One per op, in native/kernels/<op>/<op>_cases_cuda.cc.
std::vector<KernelCase> attention_cases();
std::vector<KernelCase> gemm_cases();
std::vector<KernelCase> gemm_quant_cases();
std::vector<KernelCase> norm_cases();
std::vector<KernelCase> rope_cases();
std::vector<KernelCase> sample_cases();
std::vector<KernelCase> rows_cases();  // embed, gather, copy, repeat, pair, pages, patches, fold

inline std::vector<KernelCase> all_kernel_cases() {
  std::vector<KernelCase> all;
  for (auto* cases :
       {gemm_cases, gemm_quant_cases, norm_cases, rope_cases, rows_cases, attention_cases, sample_cases}) {
    for (KernelCase& c : cases()) all.push_back(std::move(c));
  }
  return all;
}

}  // namespace mmprm::cuda
