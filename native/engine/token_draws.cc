#include "engine/token_draws.h"

#include "engine/sampler.h"

namespace mmprm {
namespace {

void draw_one(TokenDraw& draw, float* logits, int V) {
  thread_local Sampler sampler;
  thread_local std::vector<float> copy;
  float* row = logits;
  if (draw.shares_row || draw.want_logprob) {  // shape() overwrites what it is given
    copy.assign(logits, logits + V);
    row = copy.data();
  }
  sampler.shape(row, V, *draw.history, *draw.sampling);
  draw.token = sampler.draw(sampling_uniform(draw.seed, draw.sample, draw.position));
  if (draw.want_logprob) draw.logprob = log_probability(logits, V, draw.token);
}

}  // namespace

void draw_all(std::vector<TokenDraw>& draws, float* logits, int V, ThreadPool& pool) {
  pool.run(static_cast<int64_t>(draws.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      try {
        draw_one(draws[i], logits + size_t(draws[i].logits_row) * V, V);
      } catch (...) {
        draws[i].error = std::current_exception();
      }
    }
  });
}

}  // namespace mmprm
