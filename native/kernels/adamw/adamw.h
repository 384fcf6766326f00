// adamw: one step of AdamW with decoupled weight decay on a run of parameters, as torch.optim.AdamW:
//
//   g = clip·grad;  w -= lr·decay·w;  m = β1·m + (1-β1)·g;  v = β2·v + (1-β2)·g²
//   w -= lr/(1-β1^t) · m / (sqrt(v)/sqrt(1-β2^t) + eps)
//
// and the sum of squares that the global norm is made of, in double. A unit is kAdamwRun parameters, so that
// sums are added up in one order whatever the number of threads.
#pragma once
#include <cstdint>

#include "include/engine/types.h"

namespace mmprm {

constexpr int64_t kAdamwRun = 4096;

struct AdamwArgs {
  float* weight = nullptr;
  const float* gradient = nullptr;
  float* m = nullptr;
  float* v = nullptr;
  int64_t size = 0;
  float clip = 1;
  double learning_rate = 0, decay = 0, beta1 = 0, beta2 = 0, eps = 0;
  double correction1 = 1, correction2 = 1;  // 1 - β^t
};

struct AdamwKernel {
  void (*run)(const AdamwArgs& args);
  double (*sum_of_squares)(const float* x, int64_t size);
};

}  // namespace mmprm
