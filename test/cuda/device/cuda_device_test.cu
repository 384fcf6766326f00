// The CUDA device as a whole: a small decoder over pages, beside the CPU, and replayed beside called.
#include <memory>

#include "cpu/cpu_device.h"
#include "cuda/cuda_device.h"
#include "cuda_test.h"
#include "emulator/options.h"

namespace mmprm::cuda {
namespace {

constexpr int kC = 64, kH = 4, kG = 2, kD = 16, kF = 40, kV = 80, kLayers = 2, kWindow = 21, kPages = 48,
              kMaxRows = 24, kPositions = 200;

// Random rows as a checkpoint would have them.
struct Weights {
  std::vector<std::vector<float>> rows;

  Weights(int N, int K, uint32_t seed, float scale) : rows(N, std::vector<float>(K)) {
    std::mt19937 random(seed);
    for (auto& row : rows) {
      for (float& w : row) w = scale * (float(random() >> 8) * 0x1p-23f - 1);
    }
  }
  std::vector<RowRef> refs() const {
    std::vector<RowRef> out;
    for (const auto& row : rows) out.push_back({reinterpret_cast<const std::byte*>(row.data()), DType::kF32});
    return out;
  }
};

struct OnCuda {
  CudaDevice device{0};
};
struct OnCpu {
  CpuDevice device{Isa::kReference, 1};
};

template <typename On>
class TinyDecoder {
 public:
  explicit TinyDecoder(DType weights, DType dtype) {
    embed_ = on_.device.table(embed_rows_.refs(), kC);
    pairs_ = on_.device.table(head_rows_.refs(), kC);
    head_ = on_.device.pack(head_rows_.refs(), kC, weights, {}, false);
    for (int l = 0; l < kLayers; ++l) {
      const uint32_t seed = 10 * (l + 1);
      const std::vector<float> bias = Weights(1, (kH + 2 * kG) * kD, seed + 9, 0.2f).rows[0];
      layers_.push_back(
          {on_.device.pack(Weights((kH + 2 * kG) * kD, kC, seed, 0.3f).refs(), kC, weights, bias, false),
           on_.device.pack(Weights(kC, kH * kD, seed + 1, 0.2f).refs(), kH * kD, weights, {}, false),
           on_.device.pack(Weights(2 * kF, kC, seed + 2, 0.3f).refs(), kC, weights, {}, true),
           on_.device.pack(Weights(kC, kF, seed + 3, 0.3f).refs(), kF, weights, {}, false)});
    }
    norm_ = tensor(1, kC, DType::kF32), angles_ = tensor(kPositions, kD, DType::kF32);
    on_.device.write(norm_, std::vector<float>(kC, 1.25f).data());
    std::vector<float> angles;
    for (int p = 0; p < kPositions; ++p) {
      for (int i = 0; i < kD; ++i)
        angles.push_back(i < kD / 2 ? std::cos(p * std::pow(0.1f, i))
                                    : std::sin(p * std::pow(0.1f, i - kD / 2)));
    }
    on_.device.write(angles_, angles.data());
    x_ = tensor(kMaxRows, kC, DType::kF32), kept_ = tensor(kMaxRows, kC, DType::kF32),
    qkv_ = tensor(kMaxRows, (kH + 2 * kG) * kD, DType::kF32);
    h_ = tensor(kMaxRows, kC, dtype), q_ = tensor(kMaxRows, kH * kD, dtype),
    o_ = tensor(kMaxRows, kH * kD, dtype), mlp_ = tensor(kMaxRows, kF, dtype);
    logits_ = tensor(kMaxRows, kV, DType::kF32), chosen_ = tensor(kMaxRows, kC, DType::kF32),
    scores_ = tensor(kMaxRows, 2, DType::kF32);
    pages_ = on_.device.pages({kLayers, kG, kD, dtype}, kPages);
  }

  // Logits of the output rows, then the pair outputs' two each.
  std::vector<float> step(const StepPlan& plan, uint64_t graph) {
    const Staged s = on_.device.stage(plan, pages_);
    on_.device.run(StepKey(graph, s), {}, [&] { compute(s); });
    std::vector<float> out(size_t(s.outputs) * kV), scores(size_t(s.pairs) * 2);
    on_.device.read(out.data(), logits_.part(0, s.outputs));
    on_.device.read(scores.data(), scores_.part(0, s.pairs));
    out.insert(out.end(), scores.begin(), scores.end());
    return out;
  }

 private:
  struct Layer {
    Linear qkv, o, gate_up, down;
  };

  Tensor tensor(int rows, int cols, DType dtype) { return on_.device.allocate(rows, cols, dtype); }

  void compute(const Staged& s) {
    auto& d = on_.device;
    const int T = s.rows;
    const Tensor x = x_.part(0, T), kept = kept_.part(0, s.outputs);
    d.prepare_pages({s, pages_});
    d.embed({x, s, embed_, {}});
    for (int l = 0; l < kLayers; ++l) {
      const Layer& layer = layers_[l];
      const bool last = l == kLayers - 1;
      d.norm({h_.part(0, T), x, norm_, {}, 1e-5f});
      d.linear({qkv_.part(0, T), h_.part(0, T), layer.qkv, {}, Epilogue::kStore});
      RopeOp rope;
      rope.q = q_.part(0, T), rope.qkv = qkv_.part(0, T), rope.angles = angles_, rope.plan = s,
      rope.pages = pages_;
      rope.layer = l, rope.heads_H = kH, rope.q_scale = 0.25f;
      d.rope(rope);
      const int n = last ? s.outputs : T;
      const Tensor y = last ? kept : x;
      d.attention({o_.part(0, n), q_.part(0, T), s, pages_, l, kH, last, last ? kWindow : 0});
      if (last) d.gather({kept, x, s, RowList::kOutputs});
      d.linear({y, o_.part(0, n), layer.o, {}, Epilogue::kAccumulate});
      d.norm({h_.part(0, n), y, norm_, {}, 1e-5f});
      d.linear({mlp_.part(0, n), h_.part(0, n), layer.gate_up, {}, Epilogue::kSwiglu});
      d.linear({y, mlp_.part(0, n), layer.down, {}, Epilogue::kAccumulate});
    }
    d.norm({h_.part(0, s.outputs), kept, norm_, {}, 1e-5f});
    d.linear({logits_.part(0, s.outputs), h_.part(0, s.outputs), head_, {}, Epilogue::kStore});
    d.gather({chosen_.part(0, s.pairs), kept, s, RowList::kPairOutputs});
    d.norm({chosen_.part(0, s.pairs), chosen_.part(0, s.pairs), norm_, {}, 1e-5f});
    d.pair({scores_.part(0, s.pairs), chosen_.part(0, s.pairs), pairs_, s});
  }

  const Weights embed_rows_{kV, kC, 1, 1},
      head_rows_{kV, kC, 2, 0.3f};  // a CPU's tables read them where they lie
  On on_;
  Table embed_, pairs_;
  Linear head_;
  std::vector<Layer> layers_;
  Tensor norm_, angles_, x_, kept_, qkv_, h_, q_, o_, mlp_, logits_, chosen_, scores_;
  Pages pages_;
};

// Random steps as a scheduler makes them: sequences grow by one row or several, end, and leave their pages to others.
class RandomSteps {
 public:
  explicit RandomSteps(uint32_t seed) : random_(seed) {
    for (int p = kPages - 1; p >= 0; --p) free_.push_back(p);
  }
  StepPlan next() {
    StepPlan plan;
    if (sequences_.size() < 5 && below(3) == 0) sequences_.push_back({});
    if (sequences_.empty()) sequences_.push_back({});
    if (sequences_.size() > 1 && below(8) == 0) end(below(int(sequences_.size())));
    plan.slot_begin_T1.push_back(0);
    for (size_t i = 0; i < sequences_.size(); ++i) {
      const int left = kMaxRows - plan.num_rows();
      const int rows = std::min(left, below(4) == 0 ? 1 + below(9) : 1);
      if (!grow(sequences_[i], rows, plan)) end(int(i--));
    }
    for (int i = 0; i < plan.num_outputs(); i += 2) plan.pair_outputs.push_back({i, {below(kV), below(kV)}});
    for (int i = 0; i < plan.num_outputs(); ++i) plan.head_outputs.push_back(i);
    return plan;
  }

 private:
  struct Sequence {
    std::vector<int32_t> pages;
    int length = 0;
  };

  int below(int n) { return int(random_() % uint32_t(n)); }
  void end(int i) {
    for (int32_t p : sequences_[i].pages) free_.push_back(p);
    sequences_.erase(sequences_.begin() + i);
  }
  bool grow(Sequence& s, int rows, StepPlan& plan) {
    const int pages = (s.length + rows + kPageTokens - 1) / kPageTokens - int(s.pages.size());
    if (s.length + rows > kPositions || pages > int(free_.size())) return false;
    for (int p = 0; p < pages; ++p) {
      s.pages.push_back(free_.back());
      plan.page_ops.push_back({-1, free_.back()});
      free_.pop_back();
    }
    const int first = int(plan.pages.size());
    plan.pages.insert(plan.pages.end(), s.pages.begin(), s.pages.end());
    for (int r = 0; r < rows; ++r, ++s.length) {
      plan.tokens_T.push_back(below(kV));
      plan.positions_T.push_back(s.length);
      plan.keys_T.push_back({first, s.length + 1});
      plan.slots.push_back({s.pages[s.length / kPageTokens], s.length % kPageTokens});
      plan.slot_begin_T1.push_back(int(plan.slots.size()));
    }
    if (rows > 0) plan.output_rows.push_back(plan.num_rows() - 1);
    return true;
  }

  std::mt19937 random_;
  std::vector<Sequence> sequences_;
  std::vector<int32_t> free_;
};

TEST(cuda_device_equals_the_cpu_in_f32) {
  TinyDecoder<OnCuda> cuda(DType::kF32, DType::kF32);
  TinyDecoder<OnCpu> cpu(DType::kF32, DType::kF32);
  RandomSteps steps(7);
  for (int i = 0; i < 12; ++i) {
    const StepPlan plan = steps.next();
    const std::vector<float> a = cuda.step(plan, 1), b = cpu.step(plan, 1);
    CHECK_EQ(a.size(), b.size());
    for (size_t j = 0; j < a.size(); ++j) CHECK(std::fabs(a[j] - b[j]) <= 2e-4f * (1 + std::fabs(b[j])));
  }
}

// Equal keys replay; a graph of its own for every step never does.
TEST(cuda_device_replays_what_it_computes) {
  for (DType weights : {DType::kBF16, DType::kInt4}) {
    TinyDecoder<OnCuda> replaying(weights, DType::kBF16), eager(weights, DType::kBF16);
    RandomSteps steps(3);
    for (int i = 0; i < 40; ++i) {
      const StepPlan plan = steps.next();
      CHECK_EQ(bit_difference(replaying.step(plan, 1), eager.step(plan, 100 + i)), "");
    }
  }
}

// Later chips do not run sm_90a's code, and their tensor cores add as Hopper's: sm_80's kernels give the same bits there.
TEST(cuda_device_of_later_chips_gives_hoppers_bits) {
  TinyDecoder<OnCuda> hopper(DType::kBF16, DType::kBF16);
  emu::options().chips = emu::Chips::kBlackwell;
  TinyDecoder<OnCuda> later(DType::kBF16, DType::kBF16);
  CHECK_EQ(std::string(CudaDevice(0).info().result_class), "sm90");
  RandomSteps steps(5);
  for (int i = 0; i < 12; ++i) {
    const StepPlan plan = steps.next();
    emu::options().chips = emu::Chips::kHopper;
    const std::vector<float> want = hopper.step(plan, 1);
    emu::options().chips = emu::Chips::kBlackwell;
    CHECK_EQ(bit_difference(later.step(plan, 1), want), "");
  }
}

TEST(cuda_device_names_what_is_wrong) {
  CHECK_ERROR(CudaDevice(99), ErrorCode::kNoDevice);
  CudaDevice device(0);
  CHECK_ERROR(device.page_bytes({1, 1, 256, DType::kBF16}), ErrorCode::kUnsupportedModel);
  CHECK_ERROR(device.allocate(1 << 30, 1 << 20, DType::kF32), ErrorCode::kOutOfMemory);
  CHECK_EQ(std::string(device.info().kind), "cuda");
}

}  // namespace
}  // namespace mmprm::cuda
