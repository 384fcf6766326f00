// cross_entropy: rows of logits become rows of gradients, in place: x <- scale·softmax(x), with log Σ exp(x)
// and the largest logit kept. The caller subtracts the weights of the targets: d/dx of Σ w·(lse - x[target]).
// A unit is one row. Reference: double arithmetic.
#pragma once
#include <cstdint>

#include "include/engine/types.h"

namespace mmprm {

struct CrossEntropyArgs {
  float* logits = nullptr;  // [rows, V]
  int64_t stride = 0;
  int V = 0;
  const float* scale = nullptr;  // per row
  float* lse = nullptr;          // per row
  float* largest = nullptr;      // per row
};

struct CrossEntropyKernel {
  void (*run)(const CrossEntropyArgs& args, int64_t row_begin, int64_t row_end);
};

}  // namespace mmprm
