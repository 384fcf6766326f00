// What kernels see of a staged plan, of tables and of pages: plain structs of device addresses.
#pragma once
#include "cuda/runtime.h"
#include "device/address.h"
#include "device/ops.h"
#include "device/step_plan.h"

namespace mmprm::cuda {

// A step's plan in device memory (device/step_plan.h says what the lists mean).
struct DevicePlan {
  const int32_t *tokens_T = nullptr, *positions_T = nullptr, *pages = nullptr, *slot_begin_T1 = nullptr;
  const int32_t *output_rows = nullptr, *head_outputs = nullptr;
  const KeyRun* keys_T = nullptr;
  const Slot* slots = nullptr;
  const PageOp* page_ops = nullptr;
  const PairOutput* pair_outputs = nullptr;
  const int32_t* num_page_ops = nullptr;  // one number, so that a recorded step serves any count
};

// Rows as the checkpoint has them: F32, BF16 or F16.
struct DeviceTable {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  int32_t rows = 0, cols = 0;
  int64_t stride = 0;  // elements
};

// Head sizes that attention knows; keys and values of others lie in rows of the next larger one, zeros behind them.
constexpr int kPaddedHeads[] = {16, 64, 80, 128};
constexpr int padded_head(int D) {
  for (int padded : kPaddedHeads) {
    if (D <= padded) return padded;
  }
  return 0;  // too large
}

// Layer by layer: [page][head][keys, values][kPageTokens][padded head].
struct DevicePages {
  std::byte* data = nullptr;
  DType dtype = DType::kF32;
  int32_t layers = 0, count = 0, heads_G = 0, head_dim_D = 0, padded_D = 0;

  __host__ __device__ int64_t half_elements() const { return int64_t{kPageTokens} * padded_D; }
  __host__ __device__ int64_t page_elements() const { return 2 * heads_G * half_elements(); }
  __host__ __device__ int64_t layer_elements() const { return count * page_elements(); }
};

template <typename T>
__host__ __device__ inline T* page_half(const DevicePages& pages, int layer, int page, int head, int half) {
  return reinterpret_cast<T*>(pages.data) + layer * pages.layer_elements() + page * pages.page_elements() +
         (2 * head + half) * pages.half_elements();
}

inline void* data_of(const Tensor& t) { return memory_of(t); }
template <typename T>
T* data_of(const Tensor& t) {
  return reinterpret_cast<T*>(memory_of(t));
}

}  // namespace mmprm::cuda
