// rope: splits a row q|k|v, norms the heads of q and k, rotates them, scales q, and writes k and v into their pages.
//
//   (x_i, x_{i+D/2}) <- (x_i·cos - x_{i+D/2}·sin, x_{i+D/2}·cos + x_i·sin),  i < D/2  (rotate-half form)
//
// A row may be written to several places: prefix-tree branches that part inside a page each own a copy of it.
// One unit is one row. Page layout: kernels/attention/attention.h.
#pragma once
#include "kernels/attention/attention.h"

namespace mmprm {

struct RopeArgs {
  const float* qkv = nullptr;  // T rows of (H + 2G)*D
  int64_t qkv_stride = 0;
  const float* cos_sin = nullptr;        // [position][2][D/2], or null: no rotation
  const int32_t* positions_T = nullptr;  // row of cos_sin
  void* q = nullptr;                     // T rows of H*D, dtype of the pages
  int64_t q_stride = 0;
  float q_scale = 1.0f;  // applied after the rotation
  const float *q_norm_D = nullptr,
              *k_norm_D = nullptr;  // RMS norm of each head, before the rotation; null: none
  float norm_eps = 0;
  int T = 0, num_heads_H = 0;
  KvPages kv;
  const Slot* slots = nullptr;  // destinations of row t: slots[slot_begin[t] .. slot_begin[t+1])
  const int32_t* slot_begin_T1 = nullptr;
};

struct RopeKernel {
  void (*run)(const RopeArgs& args, int64_t row_begin, int64_t row_end);
};

}  // namespace mmprm
