// Drawing tokens on the device that holds the logits: only ids and log-probabilities come back.
#pragma once
#include <span>

#include "device/tensor.h"
#include "include/engine/sampling.h"

namespace mmprm {

struct TokenCount {
  int32_t token = 0, times = 0;
};

// What penalties see of a sequence: distinct tokens in the scope of the repetition penalty, and distinct
// generated tokens with how often each came.
struct SeenTokens {
  std::span<const int32_t> repeated;
  std::span<const TokenCount> generated;
};

// One token to be drawn. Host memory: SampleOp is no part of a graph.
struct Draw {
  int32_t logits_row = 0;
  bool shares_row = false;  // with another draw
  bool want_logprob = false;
  uint64_t seed = 0;
  uint32_t sample = 0, position = 0;  // see sampling_uniform()
  SamplingParams params;
  const int32_t* repeated = nullptr;  // see SeenTokens
  const TokenCount* generated = nullptr;
  int32_t num_repeated = 0, num_generated = 0;

  // Filled in.
  int32_t token = -1;  // -1: a logit of the row is no finite number
  float logprob = 0;   // of the unfiltered distribution
};

struct SampleOp {
  Tensor logits;  // F32 [rows, V]; overwritten
  Draw* draws = nullptr;
  int32_t num_draws = 0;
};

}  // namespace mmprm
