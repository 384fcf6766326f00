// Drawing tokens on CUDA: a block per distribution, from penalties to log-probabilities. The same tokens and bits as
// kernels/sample/sampler.h for the same logits.
#pragma once
#include <vector>

#include "cuda/runtime.h"
#include "device/sample.h"

namespace mmprm::cuda {

// A distribution: a row of logits and what shapes it. Several draws may share one. Offsets are into SampleLists.
struct SampleShape {
  int32_t logits_row = 0;
  int32_t first_draw = 0, num_draws = 0;
  int32_t first_repeated = 0, num_repeated = 0;    // none: no repetition penalty
  int32_t first_generated = 0, num_generated = 0;  // none: neither frequency nor presence penalty
  int32_t top_k = 0;                               // 0: off
  float temperature = 1, min_p = 0;
  float repetition_penalty = 1, frequency_penalty = 0, presence_penalty = 0;
  uint8_t greedy = 0, min_p_first = 0, want_logprob = 0;
  uint64_t dropped_parts = 0;  // of 2^53: the share that top-p drops at most; 0: off

  bool operator==(const SampleShape&) const = default;
};
// Without its places in the lists.
SampleShape sample_shape(const Draw& draw);

struct SampleResult {
  int32_t token = -1;  // -1: a logit of the row is no finite number, or none is left
  float logprob = 0;
};

// Device memory.
struct SampleLists {
  const SampleShape* shapes = nullptr;
  const uint64_t* uniform_parts = nullptr;  // per draw, of 2^53
  const int32_t* repeated = nullptr;        // see SeenTokens
  const TokenCount* generated = nullptr;
  float *saved_repeated = nullptr,
        *saved_generated = nullptr;  // as long as the lists: logits during penalties
  SampleResult* results = nullptr;   // per draw
};

// How a row is worked on: no bit of a result depends on it.
struct SampleConfig {
  int threads = 0;        // of a block: whole warps, up to 1,024
  int list_capacity = 0;  // survivors that are moved to shared memory
};
SampleConfig sample_config(int V);
size_t sample_shared_bytes(const SampleConfig& config);

// Draws for shapes [first, first + count) of the lists, each of another row. Logits are as before when it ends.
cudaError_t sample(const Tensor& logits, const SampleLists& lists, int first, int count,
                   const SampleConfig& config, cudaStream_t stream);

}  // namespace mmprm::cuda
