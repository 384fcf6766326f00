// Planted bugs: small kernels that are right, each with known mistakes that a template parameter plants. Whether a mistake
// is found, and how, is a test of the emulator itself (main.cc).
#pragma once
#include <cstdlib>
#include <cstring>
#include <vector>

#include "cuda/ptx.h"

namespace mmprm::bugs {

using namespace mmprm::cuda;

enum class Bug {
  kNone,
  // a pipeline of cp.async
  kNoSync,         // __syncthreads missing
  kWaitTooLittle,  // one group of copies too few is waited for
  kOverwrite,      // a stage is filled while others read it
  kNoDrain,        // threads end with copies under way
  kMisaligned,     // ldmatrix from an odd address
  kRowPastTile,    // a row index past the end of shared memory
  // warps
  kLaneMissing,  // one lane does not come to a shuffle
  kUnwritten,    // a chunk that no block wrote is merged
  // a selection
  kRowUnshared,  // a row is read by other threads than changed it, without a barrier
  kSumsReused,   // the warps' sums are written anew while others read them
  // TMA and wgmma
  kNoEmptyWait,       // a stage is loaded again before it is empty
  kWrongParity,       // the first wait has the wrong parity
  kEarlyRelease,      // a stage is given back with products in flight
  kOneArrival,        // one arrival per warpgroup, not one per warp
  kNoInitFence,       // barrier_init_done missing
  kTooManyRegisters,  // warpgroups ask for more registers than the block has
  kWarpKeeps,         // one warp of a warpgroup does not ask for registers
  kWarpAway,          // one warp of a warpgroup does not take part in a product
  kBarrierWritten,    // an ordinary store hits a barrier
  kOtherChips,        // the kernel runs where its instructions do not exist
  kNoProxyFence,      // ordinary stores, then wgmma, without proxy_fence
  kStoreNoFence,      // ordinary stores, then a tile store, without proxy_fence
  kStoreReused,       // a tile store's shared memory is written before it was read
  kOddColumn,         // a box that begins at no multiple of 16 bytes
  kStoreBefore,       // a stored box that begins before the matrix
  kStoreRagged,       // a stored matrix's rows end inside of 16 bytes, whose rest is another's
  kStoreNoWait,       // a thread ends while its tile store reads shared memory
  // blocks
  kTwoWriters,  // two blocks write one word
  kReadOther,   // a block reads what another one writes
  // streams
  kPinnedReused,    // a pinned buffer is written while the stream may still read it
  kFreed,           // a kernel reads freed memory
  kNotSynchronized  // a result is read before the stream was waited for
};

// Each runs its kernel on the emulated device and says whether the result is right.
bool pipeline(Bug bug);
bool warps(Bug bug);
bool selection(Bug bug);
bool hopper_ring(Bug bug);
bool proxies(Bug bug);
bool blocks(Bug bug);
bool streams(Bug bug);

template <typename T>
struct Array {
  T* p = nullptr;
  size_t n;
  explicit Array(size_t n) : n(n) {
    if (cudaMalloc(&p, n * sizeof(T)) != cudaSuccess) std::abort();
  }
  explicit Array(const std::vector<T>& v) : Array(v.size()) {
    if (cudaMemcpy(p, v.data(), n * sizeof(T), cudaMemcpyHostToDevice) != cudaSuccess) std::abort();
  }
  ~Array() { cudaFree(p); }
  std::vector<T> get() const {
    std::vector<T> v(n);
    if (cudaMemcpy(v.data(), p, n * sizeof(T), cudaMemcpyDeviceToHost) != cudaSuccess) std::abort();
    return v;
  }
};

// Small whole numbers: every sum of products is exact, in any order.
inline std::vector<bf16> whole_numbers(size_t n, unsigned seed) {
  std::vector<bf16> v(n);
  for (bf16& e : v) {
    seed = seed * 1664525u + 1013904223u;
    const float f = float(int(seed >> 29) - 3);
    uint32_t bits;
    std::memcpy(&bits, &f, 4);
    e = bf16(bits >> 16);
  }
  return v;
}
inline float value(bf16 h) {
  const uint32_t bits = uint32_t(h) << 16;
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

// Whether y[t][f] is the sum over k of w[f][k] · x[t][k].
inline bool is_product(const std::vector<float>& y, const std::vector<bf16>& w, const std::vector<bf16>& x,
                       int F, int T, int K) {
  for (int t = 0; t < T; ++t)
    for (int f = 0; f < F; ++f) {
      float sum = 0;
      for (int k = 0; k < K; ++k) sum += value(w[size_t(f) * K + k]) * value(x[size_t(t) * K + k]);
      if (y[size_t(t) * F + f] != sum) return false;
    }
  return true;
}

}  // namespace mmprm::bugs
