// The tokens that one step's logits lead to, drawn in parallel.
#pragma once
#include <exception>
#include <vector>

#include "base/thread_pool.h"
#include "engine/token_history.h"

namespace mmprm {

struct TokenDraw {
  int logits_row = 0;
  const TokenHistory* history = nullptr;
  const SamplingParams* sampling = nullptr;
  uint64_t seed = 0;
  uint32_t sample = 0, position = 0;  // see sampling_uniform()
  bool want_logprob = false;
  bool shares_row = false;  // with another draw

  // Filled in.
  int32_t token = -1;
  float logprob = 0;
  std::exception_ptr error;  // of this draw alone
};

// logits: [rows, V]; rows that are not shared are overwritten.
void draw_all(std::vector<TokenDraw>& draws, float* logits, int V, ThreadPool& pool);

}  // namespace mmprm
