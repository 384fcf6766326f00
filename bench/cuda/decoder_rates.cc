// A decoder of 8B with random weights on a card: decode of siblings, groups of them, prefill and trees of solutions, each
// as a ratio to its floor, recomputed from the card's own rates.
//
//   decoder_rates [--device cuda] [--library FILE] [--shape 8b|tiny] [--copy-tbs X] [--matmul-tflops X] [--json FILE]
//
// --copy-tbs, --matmul-tflops: what this card does, read and written together and in one large product; without them
// there are no ratios, which counts as a failure. A time is the median of steps as an engine asks for them: the plan is
// uploaded, the step runs (or is replayed), and its result is waited for. `queued` is the time of a step where nobody
// waits: what is lost beside it are launches and uploads; `linears` is that of its products alone.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backends/open_device.h"
#include "include/engine/error.h"
#include "models/decoder.h"

using namespace mmprm;

namespace {

struct Options {
  std::string device = "cuda", library, shape = "8b", json, copy_tbs = "0", matmul_tflops = "0";
};

Options parse(int argc, char** argv) {
  Options o;
  const std::map<std::string, std::string*> known = {
      {"--device", &o.device}, {"--library", &o.library},   {"--shape", &o.shape},
      {"--json", &o.json},     {"--copy-tbs", &o.copy_tbs}, {"--matmul-tflops", &o.matmul_tflops}};
  for (int i = 1; i < argc; i += 2) {
    const auto found = known.find(argv[i]);
    if (found == known.end() || i + 1 == argc)
      throw Error(ErrorCode::kInvalidArgument, std::string("unknown option or no value: ") + argv[i]);
    *found->second = argv[i + 1];
  }
  if (o.library.empty() && o.device != "cpu") {
    const char* name = o.device == "emulated" ? "mm_prm_cuda_emulated.so" : "mm_prm_cuda.so";
    o.library = std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
  }
  return o;
}

// InternLM2.5-7B as InternVL2.5-8B holds it; and one that an emulator gets through.
DecoderSpec spec_of(const std::string& shape) {
  DecoderSpec s;
  const bool tiny = shape == "tiny";
  if (!tiny && shape != "8b")
    throw Error(ErrorCode::kInvalidArgument, "shape \"" + shape + "\"; known: 8b, tiny");
  s.hidden_C = tiny ? 64 : 4096;
  s.intermediate_F = tiny ? 128 : 14336;
  s.layers_L = tiny ? 2 : 32;
  s.heads_H = tiny ? 4 : 32;
  s.kv_heads_G = tiny ? 2 : 8;
  s.head_dim_D = tiny ? 16 : 128;
  s.embed_rows = s.vocab_V = tiny ? 96 : 92553;
  s.rms_eps = 1e-5f;
  s.rope.theta = 1e6;
  s.max_positions = 32768;
  return s;
}

// Random numbers, made once; every weight row is a piece of them that begins elsewhere.
class RandomRows {
 public:
  explicit RandomRows(size_t count) : numbers_(count) {
    uint64_t state = 1;
    for (uint16_t& n : numbers_) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      // Four bytes make a nearly normal number of deviation 0.02.
      int sum = 0;
      for (int shift = 32; shift < 64; shift += 8) sum += int(state >> shift & 255);
      const float value = float(sum - 510) * (0.02f / 148.0f);
      uint32_t bits;
      static_assert(sizeof bits == sizeof value);
      __builtin_memcpy(&bits, &value, sizeof bits);
      n = uint16_t(bits >> 16);
    }
  }
  std::vector<RowRef> rows(int count, int cols) {
    std::vector<RowRef> rows;
    for (int r = 0; r < count; ++r) {
      at_ = (at_ + 7919 * 8) % (numbers_.size() - size_t(cols));
      rows.push_back({reinterpret_cast<const std::byte*>(numbers_.data() + at_), DType::kBF16});
    }
    return rows;
  }

 private:
  std::vector<uint16_t> numbers_;
  size_t at_ = 0;
};

PackedDecoder random_decoder(Device& device, const DecoderSpec& s, RandomRows& random) {
  uint64_t bytes = 0;
  const auto norm = [&] {
    const Tensor weight = device.allocate(1, s.hidden_C, DType::kF32);
    device.write(weight, std::vector<float>(size_t(s.hidden_C), 1.0f).data());
    return NormWeights{weight, {}, s.rms_eps};
  };
  const auto linear = [&](int N, int K, bool gated = false) {
    const Linear packed = device.pack(random.rows(N, K), K, DType::kBF16, {}, gated);
    bytes += packed.bytes;
    return packed;
  };
  const int C = s.hidden_C, D = s.head_dim_D;
  PackedDecoder model;
  model.spec = s;
  for (int l = 0; l < s.layers_L; ++l) {
    model.layers.push_back({norm(),
                            norm(),
                            {},
                            {},
                            linear((s.heads_H + 2 * s.kv_heads_G) * D, C),
                            linear(C, s.heads_H * D),
                            linear(2 * s.intermediate_F, C, true),
                            linear(C, s.intermediate_F)});
  }
  model.embed = device.table(random.rows(s.embed_rows, C), C);
  model.head_rows = device.table(random.rows(s.vocab_V, C), C);
  model.final_norm = norm();
  model.head = linear(s.vocab_V, C);
  std::printf("weights: %.2f GB packed\n", double(bytes) * 1e-9);
  return model;
}

// Groups of branches behind a common beginning, in pages that are numbered as they are needed.
class Forest {
 public:
  Forest(const DecoderSpec& spec, int groups, int branches, int prefix, int own)
      : vocab_(spec.vocab_V), groups_(groups), branches_(branches), prefix_(prefix), own_(own) {}

  int pages_per_branch() const { return (own_ + 1 + kPageTokens - 1) / kPageTokens; }
  int pages_per_group() const { return prefix_ / kPageTokens + branches_ * pages_per_branch(); }
  int num_pages() const { return groups_ * pages_per_group(); }

  // The beginning of a group.
  StepPlan prefix_plan(int group) const {
    StepPlan plan = empty_plan();
    for (int i = 0; i < prefix_ / kPageTokens; ++i) plan.pages.push_back(first_page(group) + i);
    for (int p = 0; p < prefix_; ++p) add_row(plan, 0, p, first_page(group) + p / kPageTokens);
    plan.output_rows = {prefix_ - 1};
    plan.head_outputs = {0};
    return plan;
  }
  // All tokens of a group's branches but their last; two logits after every `every` of them.
  StepPlan branches_plan(int group, int every) const {
    StepPlan plan = empty_plan();
    for (int b = 0; b < branches_; ++b) {
      const int first = int(plan.pages.size());
      add_pages(plan, group, b);
      for (int i = 0; i < own_; ++i) {
        const int p = prefix_ + i;
        if ((i + 1) % every == 0) {
          plan.pair_outputs.push_back({int32_t(plan.output_rows.size()), {1, 2}});
          plan.output_rows.push_back(plan.num_rows());
        }
        add_row(plan, first, p, plan.pages[size_t(first + p / kPageTokens)]);
      }
    }
    return plan;
  }
  // The beginning and the branches at once, as solutions are scored.
  StepPlan tree_plan(int every) const {
    StepPlan plan = branches_plan(0, every), prefix = prefix_plan(0);
    const int offset = int(plan.pages.size());
    plan.pages.insert(plan.pages.end(), prefix.pages.begin(), prefix.pages.end());
    for (int p = 0; p < prefix_; ++p) add_row(plan, offset, p, prefix.pages[size_t(p / kPageTokens)]);
    return plan;
  }
  // The next token of every branch.
  StepPlan decode_plan() const {
    StepPlan plan = empty_plan();
    for (int g = 0; g < groups_; ++g) {
      for (int b = 0; b < branches_; ++b) {
        const int first = int(plan.pages.size()), p = prefix_ + own_;
        add_pages(plan, g, b);
        plan.output_rows.push_back(plan.num_rows());
        plan.head_outputs.push_back(int32_t(plan.head_outputs.size()));
        add_row(plan, first, p, plan.pages[size_t(first + p / kPageTokens)]);
      }
    }
    return plan;
  }

 private:
  static StepPlan empty_plan() {
    StepPlan plan;
    plan.slot_begin_T1 = {0};
    return plan;
  }
  int first_page(int group) const { return group * pages_per_group(); }
  void add_pages(StepPlan& plan, int group, int branch) const {
    for (int i = 0; i < prefix_ / kPageTokens; ++i) plan.pages.push_back(first_page(group) + i);
    const int own = first_page(group) + prefix_ / kPageTokens + branch * pages_per_branch();
    for (int i = 0; i < pages_per_branch(); ++i) plan.pages.push_back(own + i);
  }
  void add_row(StepPlan& plan, int first, int position, int page) const {
    plan.tokens_T.push_back(int32_t((position * 2654435761u + uint32_t(page) * 40503u) >> 8) % vocab_);
    plan.positions_T.push_back(position);
    plan.keys_T.push_back({first, position + 1});
    plan.slots.push_back({page, position % kPageTokens});
    plan.slot_begin_T1.push_back(int32_t(plan.slots.size()));
  }

  int vocab_, groups_, branches_, prefix_, own_;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// What the least work takes on a card that only moves bytes, or only multiplies.
struct Floor {
  double bytes = 0, flops = 0;
};

struct Figure {
  std::string name;
  int rows = 0;
  double seconds = 0, queued = 0, linears = 0, bar = 0;
  Floor floor;
};

class Bench {
 public:
  Bench(Device& device, const DecoderSpec& spec, bool is_tiny)
      : device_(device),
        dtype_(device.info().activation(DType::kBF16)),
        random_(size_t(spec.hidden_C) << 12),
        model_(random_decoder(device, spec, random_)),
        is_tiny_(is_tiny) {}

  Figure decode(const std::string& name, int groups, int branches, int prefix, int own, double bar) {
    const Forest forest(model_.spec, groups, branches, prefix, own);
    const Pages pages = open_pages(forest.num_pages());
    Figure f;
    {
      Decoder decoder(device_, model_, dtype_);
      for (int g = 0; g < groups; ++g) {
        decoder.step(forest.prefix_plan(g), pages, {}, {});
        decoder.step(forest.branches_plan(g, own), pages, {}, {});
      }
      const StepPlan plan = forest.decode_plan();
      f = timed(decoder, plan, pages, is_tiny_ ? 4 : 24);
      f.linears = linears_seconds(plan.num_rows());
    }
    device_.release(pages);
    const double context = groups * (prefix + double(branches) * (own + 1));
    f.name = name, f.bar = bar;
    f.floor.bytes = weight_bytes() + context * key_bytes();
    f.floor.flops = f.rows * (token_flops() + head_flops() + (prefix + own + 1) * key_flops());
    return f;
  }

  Figure tree(const std::string& name, int branches, int prefix, int own, double bar) {
    const Forest forest(model_.spec, 1, branches, prefix, own);
    const Pages pages = open_pages(forest.num_pages());
    Figure f;
    {
      Decoder decoder(device_, model_, dtype_);
      f = timed(decoder, forest.tree_plan(std::min(own, 40)), pages, is_tiny_ ? 2 : 5);
    }
    device_.release(pages);
    const double keys = 0.5 * prefix * prefix + double(branches) * own * (prefix + 0.5 * own);
    f.name = name, f.bar = bar;
    f.floor.bytes = weight_bytes();
    f.floor.flops = f.rows * token_flops() + keys * key_flops();
    return f;
  }

 private:
  Pages open_pages(int count) {
    const DecoderSpec& s = model_.spec;
    return device_.pages({s.layers_L, s.kv_heads_G, s.head_dim_D, dtype_}, count);
  }

  Figure timed(Decoder& decoder, const StepPlan& plan, const Pages& pages, int times) {
    const auto step = [&] { return decoder.step(plan, pages, {}, {}); };
    const auto wait = [&](const Decoder::StepOutput& out) {
      float values[2];
      device_.read(values, out.pairs.empty() ? out.logits.part(0, 1).columns(0, 2) : out.pairs.part(0, 1));
      if (!std::isfinite(values[0])) throw Error(ErrorCode::kInternal, "a step gave what is no number");
    };
    for (int i = 0; i < 3; ++i) wait(step());  // learns, records, replays
    std::vector<double> seconds;
    for (int i = 0; i < times; ++i) {
      const double began = now();
      wait(step());
      seconds.push_back(now() - began);
    }
    Figure f;
    f.rows = plan.num_rows();
    f.seconds = median(seconds);
    const double began = now();
    Decoder::StepOutput last;
    for (int i = 0; i < times; ++i) last = step();
    wait(last);
    f.queued = (now() - began) / times;
    return f;
  }

  // A step's products alone, recorded.
  double linears_seconds(int rows) {
    const DecoderSpec& s = model_.spec;
    const int D = s.head_dim_D;
    const Tensor x = device_.allocate(rows, s.hidden_C, DType::kF32),
                 a = device_.allocate(rows, s.hidden_C, dtype_),
                 qkv = device_.allocate(rows, (s.heads_H + 2 * s.kv_heads_G) * D, DType::kF32),
                 mlp = device_.allocate(rows, s.intermediate_F, dtype_),
                 logits = device_.allocate(rows, s.vocab_V, DType::kF32);
    StepKey key;
    key.graph = ~uint64_t{0}, key.rows = rows;
    const auto products = [&] {
      for (const PackedDecoderLayer& layer : model_.layers) {
        device_.linear({qkv, a, layer.qkv, {}, Epilogue::kStore});
        device_.linear({x, a, layer.o, {}, Epilogue::kAccumulate});
        device_.linear({mlp, a, layer.gate_up, {}, Epilogue::kSwiglu});
        device_.linear({x, mlp, layer.down, {}, Epilogue::kAccumulate});
      }
      device_.linear({logits, a, model_.head, {}, Epilogue::kStore});
    };
    const int times = is_tiny_ ? 2 : 10;
    float value;
    std::vector<double> seconds;
    for (int i = 0; i < times + 3; ++i) {
      const double began = now();
      device_.run(key, {}, products);
      device_.read(&value, x.part(0, 1).columns(0, 1));
      if (i >= 3) seconds.push_back(now() - began);
    }
    for (const Tensor& t : {x, a, qkv, mlp, logits}) device_.release(t);
    return median(seconds);
  }

  double layer_weights() const {
    const DecoderSpec& s = model_.spec;
    const double C = s.hidden_C, D = s.head_dim_D;
    return s.layers_L * (C * (2 * s.heads_H + 2 * s.kv_heads_G) * D + 3 * C * s.intermediate_F);
  }
  double weight_bytes() const {
    return 2 * layer_weights() + 2.0 * model_.spec.vocab_V * model_.spec.hidden_C;
  }
  double token_flops() const { return 2 * layer_weights(); }
  double head_flops() const { return 2.0 * model_.spec.vocab_V * model_.spec.hidden_C; }
  // Of one token's keys and values; of one row that looks at one key.
  double key_bytes() const {
    return 4.0 * model_.spec.layers_L * model_.spec.kv_heads_G * model_.spec.head_dim_D;
  }
  double key_flops() const {
    return 4.0 * model_.spec.layers_L * model_.spec.heads_H * model_.spec.head_dim_D;
  }

  Device& device_;
  DType dtype_;
  RandomRows random_;  // a CPU's tables read them where they are
  PackedDecoder model_;
  bool is_tiny_;
};

// Prints figures and holds them to their bars.
class Judge {
 public:
  explicit Judge(const Options& o)
      : copy_(std::atof(o.copy_tbs.c_str()) * 1e12),
        matmul_(std::atof(o.matmul_tflops.c_str()) * 1e12),
        path_(o.json) {}

  void add(const Figure& f, const DeviceInfo& info) {
    const bool has_rates = copy_ > 0 && matmul_ > 0;
    const double floor = has_rates ? std::max(f.floor.bytes / copy_, f.floor.flops / matmul_) : 0;
    const double ratio = floor / f.seconds;
    if (!has_rates || (f.bar > 0 && ratio < f.bar)) ++failed_;
    char line[512];
    std::snprintf(
        line, sizeof line,
        "{\"case\": \"%s\", \"rows\": %d, \"ms\": %.4f, \"queuedMs\": %.4f, \"linearsMs\": %.4f, \"gbytes\": "
        "%.3f, "
        "\"tflops\": %.3f, \"floorMs\": %.4f, \"ofFloor\": %.4f, \"bar\": %.2f, \"rowsPerSecond\": %.1f}",
        f.name.c_str(), f.rows, f.seconds * 1e3, f.queued * 1e3, f.linears * 1e3, f.floor.bytes * 1e-9,
        f.floor.flops * 1e-12, floor * 1e3, ratio, f.bar, f.rows / f.seconds);
    std::printf("%s\n", line);
    std::fflush(stdout);
    lines_ += (lines_.empty() ? "" : ",\n  ") + std::string(line);
    if (path_.empty()) return;
    std::ofstream(path_) << "{\"part\": 6, \"device\": \"" << info.name
                         << "\", \"copyTbs\": " << copy_ * 1e-12 << ", \"matmulTflops\": " << matmul_ * 1e-12
                         << ", \"failed\": " << failed_ << ",\n \"figures\": [" << lines_ << "]}\n";
  }
  int failed() const { return failed_; }

 private:
  double copy_, matmul_;
  std::string path_, lines_;
  int failed_ = 0;
};

int run(const Options& o) {
  const bool tiny = o.shape == "tiny";
  const std::unique_ptr<Device> device = open_device({o.device, o.library, "", 0}).device;
  const double began = now();
  Bench bench(*device, spec_of(o.shape), tiny);
  std::printf("%s: packed in %.1f s\n", device->info().name, now() - began);
  Judge judge(o);
  const auto add = [&](const Figure& f) { judge.add(f, device->info()); };
  const int prefix = tiny ? 64 : 2048, own = tiny ? 16 : 256;
  add(bench.decode("decode 16 siblings", 1, 16, prefix, own, 0.75));
  if (!tiny) add(bench.decode("decode 16 x 16 siblings", 16, 16, prefix, own, 0.65));
  add(bench.decode("decode 1", 1, 1, prefix, own, 0));
  add(bench.tree("score 16 solutions of 400 tokens", 16, tiny ? 64 : 1936, tiny ? 32 : 400, 0.65));
  add(bench.tree("prefill 2048", 1, tiny ? 64 : 2032, 16, 0));
  return judge.failed() > 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(parse(argc, argv));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "decoder_rates: %s\n", e.what());
    return 2;
  }
}
