// Recorded steps against called ones, bit for bit, over thousands of steps of the scheduler itself: prefixes that are
// shared, pages that are copied, cleared and taken from others, samples beside prefill, pairs beside logits, tensors
// that grow. The model is as small as a model can be.
#include "counted_device.h"
#include "cuda_test.h"
#include "emulator/options.h"
#include "engine/scheduler.h"
#include "models/decoder.h"

namespace mmprm::cuda {
namespace {

constexpr int kC = 16, kD = 16, kF = 8, kV = 16, kPages = 8, kSteps = 3400;  // in each of three modes

struct TinyWeights {
  std::vector<std::vector<float>> rows;

  TinyWeights(int N, int K, uint32_t seed) : rows(N, std::vector<float>(K)) {
    std::mt19937 random(seed);
    for (auto& row : rows) {
      for (float& w : row) w = 0.5f * (float(random() >> 8) * 0x1p-23f - 1);
    }
  }
  std::vector<RowRef> refs() const {
    std::vector<RowRef> out;
    for (const auto& row : rows) out.push_back({reinterpret_cast<const std::byte*>(row.data()), DType::kF32});
    return out;
  }
};

struct TinyModel {
  PackedDecoder packed;

  explicit TinyModel(Device& device) {
    DecoderSpec& s = packed.spec;
    s.hidden_C = kC, s.intermediate_F = kF, s.layers_L = 1;
    s.heads_H = s.kv_heads_G = 1, s.head_dim_D = kD;
    s.embed_rows = s.vocab_V = kV;
    s.rope.theta = 10000, s.max_positions = 256;
    const auto linear = [&](int N, int K, uint32_t seed, bool gated) {
      return device.pack(TinyWeights(N, K, seed).refs(), K, DType::kBF16, {}, gated);
    };
    const auto norm = [&] {
      NormWeights out{device.allocate(1, kC, DType::kF32), {}, 1e-5f};
      device.write(out.weight, std::vector<float>(kC, 1.25f).data());
      return out;
    };
    packed.embed = device.table(TinyWeights(kV, kC, 1).refs(), kC);
    packed.head_rows = device.table(TinyWeights(kV, kC, 2).refs(), kC);
    packed.head = linear(kV, kC, 2, false);
    packed.final_norm = norm();
    PackedDecoderLayer& layer = packed.layers.emplace_back();
    layer.attention_norm = norm(), layer.ffn_norm = norm();
    layer.qkv = linear(3 * kD, kC, 3, false), layer.o = linear(kC, kD, 4, false);
    layer.gate_up = linear(2 * kF, kC, 5, true), layer.down = linear(kC, kF, 6, false);
  }
};

class TinyEngine {
 public:
  explicit TinyEngine(bool replaying)
      : device_(replaying),
        model_(device_),
        decoder_(device_, model_.packed, DType::kBF16),
        pages_(device_.pages({1, 1, kD, DType::kBF16}, kPages)) {}

  const CountedDevice& device() const { return device_; }
  // Logits, then pairs.
  std::vector<float> step(const StepPlan& plan) {
    const Decoder::StepOutput out = decoder_.step(plan, pages_, {}, {});
    const size_t logits = plan.head_outputs.size(), pairs = plan.pair_outputs.size();
    std::vector<float> values(logits * kV + pairs * 2);
    if (logits > 0) device_.read(values.data(), out.logits);
    if (pairs > 0) device_.read(values.data() + logits * kV, out.pairs);
    return values;
  }

 private:
  CountedDevice device_;
  TinyModel model_;
  Decoder decoder_;
  Pages pages_;
};

// A scheduler that never runs out of requests.
class Requests {
 public:
  explicit Requests(uint32_t seed) : random_(seed) {}

  Step next() {
    while (running_.size() < 2 || (running_.size() < 3 && below(4) == 0)) add();
    Step step = scheduler_.plan();
    const bool pairs = below(4) == 0, heads = !pairs || below(2) == 0;
    for (int i = 0; i < step.plan.num_outputs(); ++i) {
      if (heads) step.plan.head_outputs.push_back(i);
      if (pairs) step.plan.pair_outputs.push_back({i, {below(kV), below(kV)}});
    }
    return step;
  }
  void done(const Step& step) {
    scheduler_.commit(step);
    for (const StepOutput& output : step.outputs) {
      for (int sample : output.samples) scheduler_.append(output.group, sample, below(kV));
    }
    std::erase_if(running_, [&](GroupId id) {
      if (!scheduler_.finished(id) && below(64) > 0) return false;
      scheduler_.remove(id);  // some before they have ended
      return true;
    });
  }
  const SchedulerCounts& counts() const { return scheduler_.counts(); }

 private:
  int below(int n) { return int(random_() % uint32_t(n)); }
  void add() {
    GenerateGroup group;
    const int length = 1 + below(24), shared = below(20), many = below(3);
    for (int i = 0; i < length; ++i) group.prompt.push_back(text_key(i < shared ? i % kV : below(kV)));
    group.num_samples = 1 + below(2);
    group.max_tokens = 1 + below(many > 0 ? 24 : 4);
    running_.push_back(scheduler_.add(std::move(group)));
  }

  std::mt19937 random_;
  PagePool pool_{kPages};
  PrefixCache cache_{pool_};
  Scheduler scheduler_{pool_, cache_, {.prefill_rows = 8, .prefill_rows_beside_decode = 2}};
  std::vector<GroupId> running_;
};

TEST(cuda_replays_equal_calls_over_the_steps_of_a_scheduler) {
  emu::options().multiprocessors = 1;
  TinyEngine replaying(true), calling(false);
  Requests requests(uint32_t(17 + emu::options().seed + 100 * uint32_t(emu::options().async)));
  int page_ops = 0;
  for (int i = 0; i < kSteps; ++i) {
    const Step step = requests.next();
    page_ops += int(step.plan.page_ops.size());
    CHECK(!step.empty());
    CHECK_EQ(bit_difference(replaying.step(step.plan), calling.step(step.plan)), "");
    requests.done(step);
  }
  CHECK_EQ(calling.device().num_replayed(), 0);
  CHECK(replaying.device().num_replayed() > kSteps / 2);
  CHECK(page_ops > kSteps / 20);
  CHECK(requests.counts().preemptions > 5);
  CHECK(requests.counts().reused_tokens > 1000);
}

}  // namespace
}  // namespace mmprm::cuda
