// A decoder of 8B with random weights on a card: decode of siblings, groups of them, prefill and trees of solutions, each
// as a ratio to its floor, recomputed from the card's own rates.
//
//   decoder_rates [--device cuda] [--library FILE] [--shape 8b|tiny] [--copy-tbs X] [--matmul-tflops X] [--json FILE]
//
// --copy-tbs, --matmul-tflops: what this card does, read and written together and in one large product; without them
// there are no ratios, which counts as a failure. A time is the median of steps as an engine asks for them: the plan is
// uploaded, the step runs (or is replayed), and its result is waited for. `queued` is the time of a step where nobody
// waits, `linears` and `attention` are the times of its products and its attention alone: what costs a figure that is below
// its bar is told from them.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

#include "backends/open_device.h"
#include "command_line.h"
#include "figures.h"
#include "forest.h"
#include "include/engine/error.h"
#include "random_decoder.h"

using namespace mmprm;

namespace {

struct Options {
  std::string device = "cuda", library, shape = "8b", json, copy_tbs = "0", matmul_tflops = "0";
};

Options parse(int argc, char** argv) {
  Options o;
  read_options(argc, argv,
               {{"--device", &o.device},
                {"--library", &o.library},
                {"--shape", &o.shape},
                {"--json", &o.json},
                {"--copy-tbs", &o.copy_tbs},
                {"--matmul-tflops", &o.matmul_tflops}});
  if (o.library.empty()) o.library = library_beside_program(o.device);
  return o;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

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
      f.products = products_seconds(plan.num_rows(), plan.num_rows());
      f.attention = attention_seconds(plan, pages);
    }
    device_.release(pages);
    const double context = groups * (prefix + double(branches) * (own + 1));
    f.name = name, f.bar = bar;
    f.of_products = {weight_bytes(), f.rows * (token_flops() + head_flops())};
    f.of_attention = {context * key_bytes(), f.rows * (prefix + own + 1) * key_flops()};
    return f;
  }

  Figure tree(const std::string& name, int branches, int prefix, int own, double bar) {
    const Forest forest(model_.spec, 1, branches, prefix, own);
    const Pages pages = open_pages(forest.num_pages());
    Figure f;
    {
      Decoder decoder(device_, model_, dtype_);
      const StepPlan plan = forest.tree_plan(std::min(own, 40));
      f = timed(decoder, plan, pages, is_tiny_ ? 2 : 5);
      f.products = products_seconds(plan.num_rows(), 0);  // scores are read from few rows
      f.attention = attention_seconds(plan, pages);
    }
    device_.release(pages);
    const double keys = 0.5 * prefix * prefix + double(branches) * own * (prefix + 0.5 * own);
    f.name = name, f.bar = bar;
    f.of_products = {weight_bytes(), f.rows * token_flops()};
    f.of_attention = {0, keys * key_flops()};
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

  // Recorded, and waited for each time.
  double seconds_of(const StepKey& key, const std::function<void()>& graph, const Tensor& result) {
    const int times = is_tiny_ ? 2 : 10;
    std::vector<char> value(8);
    std::vector<double> seconds;
    for (int i = 0; i < times + 3; ++i) {
      const double began = now();
      device_.run(key, {}, graph);
      device_.read(value.data(), result.part(0, 1).columns(0, 1));
      if (i >= 3) seconds.push_back(now() - began);
    }
    return median(seconds);
  }

  // A step's products alone; `outputs`: rows that have logits.
  double products_seconds(int rows, int outputs) {
    const DecoderSpec& s = model_.spec;
    const int D = s.head_dim_D, block = std::min(rows, device_.info().row_block);
    const Tensor x = device_.allocate(rows, s.hidden_C, DType::kF32),
                 a = device_.allocate(rows, s.hidden_C, dtype_),
                 qkv = device_.allocate(block, (s.heads_H + 2 * s.kv_heads_G) * D, DType::kF32),
                 mlp = device_.allocate(block, s.intermediate_F, dtype_),
                 logits = device_.allocate(std::max(outputs, 1), s.vocab_V, DType::kF32);
    StepKey key;
    key.graph = ~uint64_t{0}, key.rows = rows, key.outputs = outputs;
    const double seconds = seconds_of(
        key,
        [&] {
          for (const PackedDecoderLayer& layer : model_.layers) {
            for (int first = 0; first < rows; first += block) {
              const int n = std::min(block, rows - first);
              const Tensor from = a.part(first, n), to = x.part(first, n), gated = mlp.part(0, n);
              device_.linear({qkv.part(0, n), from, layer.qkv, {}, Epilogue::kStore});
              device_.linear({to, from, layer.o, {}, Epilogue::kAccumulate});
              device_.linear({gated, from, layer.gate_up, {}, Epilogue::kSwiglu});
              device_.linear({to, gated, layer.down, {}, Epilogue::kAccumulate});
            }
          }
          if (outputs > 0) device_.linear({logits, a.part(0, outputs), model_.head, {}, Epilogue::kStore});
        },
        x);
    for (const Tensor& t : {x, a, qkv, mlp, logits}) device_.release(t);
    return seconds;
  }

  // A step's attention alone, in all layers, on what `pages` hold.
  double attention_seconds(const StepPlan& plan, const Pages& pages) {
    const DecoderSpec& s = model_.spec;
    const Staged staged = device_.stage(plan, pages);
    const int cols = s.heads_H * s.head_dim_D;
    const Tensor q = device_.allocate(staged.rows, cols, dtype_),
                 o = device_.allocate(staged.rows, cols, dtype_);
    const RandomRows random(size_t(staged.rows) * size_t(cols));
    device_.write(q, random.data());
    const StepKey key(~uint64_t{1}, staged);
    const double seconds = seconds_of(
        key,
        [&] {
          for (int l = 0; l < s.layers_L; ++l) device_.attention({o, q, staged, pages, l, s.heads_H});
        },
        o);
    for (const Tensor& t : {q, o}) device_.release(t);
    return seconds;
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

int run(const Options& o) {
  const bool tiny = o.shape == "tiny";
  const std::unique_ptr<Device> device = open_device({o.device, o.library, "", 0}).device;
  const double began = now();
  Bench bench(*device, decoder_spec(o.shape), tiny);
  std::printf("%s: packed in %.1f s\n", device->info().name, now() - began);
  Judge judge(std::atof(o.copy_tbs.c_str()) * 1e12, std::atof(o.matmul_tflops.c_str()) * 1e12, o.json);
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
