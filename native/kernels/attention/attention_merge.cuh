// What attention's kernels share: where things lie, weights as powers of two, and the one way in which chunks merge.
#pragma once
#include "cuda/arithmetic.h"
#include "cuda/ptx.h"
#include "kernels/attention/attention_cuda.h"

namespace mmprm::cuda {

constexpr float kLog2E = 1.44269504f;
// WHY not infinity: its distance to a maximum has to be a number. The weight is exactly zero all the same.
constexpr float kUnseen = -1e37f;
// Of a row that sees all keys before it: more than there are, and what is added to it stays an int.
constexpr int kNoWindow = 1 << 30;

struct Attend {
  const void* q;
  void* o;
  int64_t q_stride, o_stride;
  const int32_t* pages_list;
  const KeyRun* keys_T;
  DevicePages pages;
  DeviceAttendWork work;
  int layer, heads_H, heads_per_G;
  int window;  // keys that a row sees, its own among them; kNoWindow: all

  __device__ int first_chunk(int num_keys) const {
    return num_keys > window ? (num_keys - window) / kChunkTokens : 0;
  }
};

// How a chunk joins what a row has: o = o · old + chunk · fresh. Maxima are in powers of two.
struct MergeFactors {
  float old, fresh, max;

  __device__ MergeFactors(float max_before, float chunk_max) {
    max = chunk_max > max_before ? chunk_max : max_before;
    old = exp2_nonpositive(max_before - max);
    fresh = exp2_nonpositive(chunk_max - max);
  }
  __device__ float join(float before, float chunk) const { return __fmaf_rn(chunk, fresh, before * old); }
};

// Adding zero makes a negative zero positive: whether one arises may depend on slots that weigh nothing.
__device__ inline float finished(float o, float scale) { return o * scale + 0.0f; }

}  // namespace mmprm::cuda
