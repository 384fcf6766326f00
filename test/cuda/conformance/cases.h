// For the files that hold cases: registration, and what their kernels share.
#pragma once
#include <vector>

#include "conformance/suite.h"
#include "cuda/ptx.h"

namespace mmprm::conformance {

using namespace mmprm::cuda;

// One block per problem: blockIdx.x is its number.
struct Case {
  const char* name;
  std::vector<Stretch> in;
  size_t out_words;
  Compare compare;
  int problems;
  cudaError_t (*run)(const uint32_t* in, uint32_t* out, int problems);
  int chips = 80;
};

inline std::vector<Case>& all_cases() {
  static std::vector<Case> cases;
  return cases;
}

struct AddCase {
  explicit AddCase(const Case& c) { all_cases().push_back(c); }
};
struct AddHopperCase {
  explicit AddHopperCase(Case c) {
    c.chips = 90;
    all_cases().push_back(c);
  }
};

// Launches `kernel(in, out)` with `threads` threads and `shared` bytes.
template <auto kernel, int kThreads, size_t kShared = 0>
cudaError_t run_kernel(const uint32_t* in, uint32_t* out, int problems) {
  return launch(kernel, dim3(unsigned(problems)), dim3(kThreads), kShared, nullptr, in, out);
}

template <typename T>
__device__ inline const T* problem_in(const uint32_t* in, size_t words) {
  return reinterpret_cast<const T*>(in + blockIdx.x * words);
}
template <typename T>
__device__ inline T* problem_out(uint32_t* out, size_t words) {
  return reinterpret_cast<T*>(out + blockIdx.x * words);
}

// Rows of 128 bytes as wgmma's and TMA's 128-byte swizzle wants them: 16-byte columns change places by row.
__device__ inline void fill_swizzled(unsigned char* tile, const unsigned char* from, int rows,
                                     int from_stride, int threads) {
  for (int i = int(threadIdx.x); i < rows * 8; i += threads) {
    const int row = i / 8, column = i % 8;
    *reinterpret_cast<uint4*>(tile + row * 128 + (column ^ row % 8) * 16) =
        *reinterpret_cast<const uint4*>(from + row * from_stride + column * 16);
  }
}

}  // namespace mmprm::conformance
