// Draws on the card beside the CPU's for equal logits: the same tokens, the same bits of log-probabilities.
#include <algorithm>
#include <limits>

#include "cpu/cpu_device.h"
#include "cuda/cuda_device.h"
#include "cuda_test.h"
#include "device/token_history.h"
#include "emulator/options.h"

namespace mmprm::cuda {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

class RandomDraws {
 public:
  RandomDraws(uint32_t seed, int V, int rows) : random_(seed), V_(V), rows_(rows), logits_(size_t(rows) * V) {
    for (int r = 0; r < rows; ++r) fill(logits_.data() + size_t(r) * V);
    for (int r = 0; r < rows; ++r) add(r);
  }
  const std::vector<float>& logits() const { return logits_; }
  std::vector<Draw> draws() const { return draws_; }

 private:
  int below(int n) { return int(random_() % uint32_t(n)); }
  float real() { return float(random_() >> 8) * 0x1p-24f; }

  void fill(float* row) {
    std::normal_distribution<float> normal(0, below(3) ? 3.0f : 40.0f);
    const int kind = below(12);
    const float level = normal(random_);
    for (int i = 0; i < V_; ++i) {
      row[i] = kind == 0   ? float(below(5))              // ties everywhere
               : kind == 1 ? level                        // nothing but ties
               : kind == 2 ? (i % 2 ? -0.0f : 0.0f)       // zeros of both signs are equal
               : kind == 3 ? std::round(normal(random_))  // some ties
               : kind == 4 ? -3e38f * real()              // far apart
                           : normal(random_);
    }
    if (kind == 5) row[below(V_)] = 500;  // one survivor
    if (kind == 6) row[below(V_)] = below(2) ? kInf : -kInf;
    if (kind == 7) row[below(V_)] = std::numeric_limits<float>::quiet_NaN();
    if (kind == 8) row[V_ - 1] = row[0] = 30;
  }

  SamplingParams params() {
    const float temperatures[] = {0, 0.9e-5f, 1.1e-5f, 0.3f, 0.7f, 1, 1, 1.5f, 20, 1e30f};
    const float top_ps[] = {1, 1, 0.95f, 0.8f, 0.5f, 0.1f, 1e-30f, 0.99999994f};
    SamplingParams p;
    p.temperature = temperatures[below(10)];
    p.top_k = below(3) ? below(4) ? 1 + below(60) : 1 + below(2 * V_) : 0;
    p.top_p = below(3) ? top_ps[below(8)] : real() * 0.999f + 0.0005f;
    p.min_p = below(3) ? 0.0f : below(5) ? 0.1f * real() : 1.0f;
    if (below(2)) p.repetition_penalty = below(8) ? 0.5f + real() : below(2) ? 1e-38f : 3e38f;
    if (below(3) == 0) p.frequency_penalty = below(8) ? real() - 0.5f : 3e38f;
    if (below(3) == 0) p.presence_penalty = below(8) ? real() - 0.5f : -3e38f;
    p.penalty_scope = below(2) ? PenaltyScope::kAll : PenaltyScope::kGenerated;
    p.order = below(2) ? SamplingOrder::kVllm : SamplingOrder::kHf;
    return p;
  }

  TokenHistory history(const SamplingParams& p) {
    std::vector<int32_t> prompt(size_t(below(3) ? below(40) : below(2 * V_)));
    for (int32_t& token : prompt) token = below(V_);
    TokenHistory history(prompt, p.penalty_scope);
    for (int left = below(3) ? below(30) : below(V_); left > 0; --left) history.add_generated(below(V_));
    return history;
  }

  // A row's draws: mostly one; siblings; now and then some of other distributions.
  void add(int row) {
    SamplingParams p = params();
    histories_.push_back(std::make_unique<TokenHistory>(history(p)));
    const int siblings = below(5) ? 1 : 2 + below(5);
    const bool want_logprob = below(2);
    for (int s = 0; s < siblings; ++s) {
      if (s > 0 && below(6) == 0)
        p = params(), histories_.push_back(std::make_unique<TokenHistory>(history(p)));
      const SeenTokens seen = histories_.back()->seen();
      Draw draw;
      draw.logits_row = row, draw.shares_row = siblings > 1, draw.want_logprob = want_logprob;
      draw.seed = random_(), draw.sample = uint32_t(s), draw.position = uint32_t(below(4000));
      draw.params = p;
      draw.repeated = seen.repeated.data(), draw.num_repeated = int32_t(seen.repeated.size());
      draw.generated = seen.generated.data(), draw.num_generated = int32_t(seen.generated.size());
      draws_.push_back(draw);
    }
  }

  std::mt19937 random_;
  int V_, rows_;
  std::vector<float> logits_;
  std::vector<Draw> draws_;
  std::vector<std::unique_ptr<TokenHistory>> histories_;
};

// WHY in one mode: the kernel copies nothing asynchronously, and its cases run in all of them.
bool in_other_mode() { return emu::options().async != emu::Async::kLate; }

struct Seen {
  int draws = 0, faults = 0;
};

// What a draw of the CPU's would say on both sides.
void compare(const RandomDraws& given, int V, int rows, CpuDevice& cpu, CudaDevice& cuda, Seen& seen) {
  const auto draw_on = [&](Device& device) {
    const Tensor logits = device.allocate(rows, V, DType::kF32);
    device.write(logits, given.logits().data());
    std::vector<Draw> draws = given.draws();
    device.sample({logits, draws.data(), int32_t(draws.size())});
    device.release(logits);
    return draws;
  };
  const std::vector<Draw> wanted = draw_on(cpu), got = draw_on(cuda);
  for (size_t i = 0; i < wanted.size(); ++i) {
    const SamplingParams& p = wanted[i].params;
    const std::string what = "V " + std::to_string(V) + " draw " + std::to_string(i) + " temperature " +
                             std::to_string(p.temperature) + " top_k " + std::to_string(p.top_k) + " top_p " +
                             std::to_string(p.top_p) + " min_p " + std::to_string(p.min_p) + ": token ";
    CHECK_EQ(what + std::to_string(got[i].token), what + std::to_string(wanted[i].token));
    CHECK_EQ(bit_difference({got[i].logprob}, {wanted[i].logprob}), "");
    ++seen.draws;
    seen.faults += wanted[i].token < 0;
  }
}

TEST(cuda_draws_are_the_cpus) {
  if (in_other_mode()) return;
  CpuDevice cpu(Isa::kReference, 1);
  CudaDevice cuda(0);
  Seen seen;
  uint32_t seed = 1;
  for (const auto& [V, rows, rounds] :
       {std::tuple{1, 8, 2}, {7, 24, 30}, {33, 24, 15}, {1000, 24, 24}, {5000, 16, 8}}) {
    for (int round = 0; round < rounds; ++round)
      compare(RandomDraws(seed++, V, rows), V, rows, cpu, cuda, seen);
  }
  CHECK(seen.draws > 2500);
  CHECK(seen.faults > seen.draws / 20 && seen.faults < seen.draws / 2);
}

TEST(cuda_draws_are_the_cpus_in_a_large_vocabulary) {
  if (in_other_mode()) return;
  CpuDevice cpu(Isa::kReference, 1);
  CudaDevice cuda(0);
  Seen seen;
  for (uint32_t seed = 100; seed < 104; ++seed)
    compare(RandomDraws(seed, 151936, 6), 151936, 6, cpu, cuda, seen);
  CHECK(seen.draws - seen.faults > 12);
}

}  // namespace
}  // namespace mmprm::cuda
