// What decoder and vision ask of a device, step after step: equal keys mean equal ops, nothing is allocated or
// read inside a graph, and what is read was written. And that the device that looks for it finds it.
#include <random>

#include "base/cpu_features.h"
#include "cpu/cpu_device.h"
#include "engine/scheduler.h"
#include "golden_model.h"
#include "models/decoder.h"
#include "models/registry.h"
#include "models/vision.h"
#include "trace_device.h"

namespace mmprm {
namespace {

struct OpenModel {
  Checkpoint checkpoint;
  ModelSpec spec;
  PackedModel packed;
  OpenModel(Device& device, const std::string& folder)
      : checkpoint(Checkpoint::open(folder)),
        spec(parse_model_spec(checkpoint)),
        packed(pack_model(device, checkpoint, spec, build_weight_table(checkpoint, spec),
                          {DType::kF32, {}, nullptr})) {}
};

GenerateGroup random_group(std::mt19937& random, int vocab) {
  GenerateGroup group;
  const int length = 1 + int(random() % 40), shared = int(random() % 30);
  for (int i = 0; i < length; ++i)
    group.prompt.push_back(text_key(int32_t(i < shared ? i : random() % vocab)));
  group.num_samples = 1 + int(random() % 3);
  group.max_tokens = 1 + int(random() % 12);
  return group;
}

// Runs a random mix of samples and pairs to its end.
void run_steps(TraceDevice& device, Decoder& decoder, const DecoderSpec& spec, const Pages& pages,
               int num_groups) {
  PagePool pool(pages.count);
  PrefixCache cache(pool);
  Scheduler scheduler(pool, cache, {.prefill_rows = 24, .prefill_rows_beside_decode = 8});
  std::mt19937 random(11);
  std::vector<GroupId> running;
  for (int added = 0; added < num_groups || !running.empty();) {
    if (added < num_groups && (running.empty() || random() % 3 == 0)) {
      running.push_back(scheduler.add(random_group(random, spec.vocab_V)));
      ++added;
    }
    Step step = scheduler.plan();
    for (int i = 0; i < step.plan.num_outputs(); ++i) {
      step.plan.head_outputs.push_back(i);
      if (random() % 2) step.plan.pair_outputs.push_back({i, {1, 2}});
    }
    const Decoder::StepOutput out = decoder.step(step.plan, pages, {}, {});
    scheduler.commit(step);
    if (out.pairs.rows > 0) {
      std::vector<float> pairs(size_t(out.pairs.rows) * 2);
      device.read(pairs.data(), out.pairs);
    }
    for (int i = 0; i < step.plan.num_outputs(); ++i) {
      for (int sample : step.outputs[i].samples)
        scheduler.append(step.outputs[i].group, sample, int32_t(random() % spec.vocab_V));
    }
    std::erase_if(running, [&](GroupId id) {
      if (!scheduler.finished(id)) return false;
      scheduler.remove(id);
      return true;
    });
  }
}

TEST(trace_of_decoder_steps_is_a_function_of_the_key) {
  CpuDevice cpu(detect_isa(), 2);
  TraceDevice device(cpu);
  const OpenModel model(device, text_model());
  Decoder decoder(device, model.packed.decoder, device.info().activation(DType::kF32));
  // WHY twice: in the second round nothing has to grow any more, so that keys come again.
  const DecoderSpec& spec = model.spec.decoder;
  const DType dtype = device.info().activation(DType::kF32);
  const Pages pages = device.pages({spec.layers_L, spec.kv_heads_G, spec.head_dim_D, dtype}, 64);
  for (int round = 0; round < 2; ++round) run_steps(device, decoder, spec, pages, 40);
  CHECK(device.num_keys() > 50);
  CHECK(device.num_compared() > 100);
}

TEST(trace_of_tiles_is_a_function_of_the_key) {
  CpuDevice cpu(detect_isa(), 2);
  TraceDevice device(cpu);
  const OpenModel model(device, vision_model());
  const VisionSpec& spec = *model.spec.vision;
  Vision vision(device, model.packed.vision, device.info().activation(DType::kF32));
  constexpr int kTiles = 3;
  Picture picture;
  picture.num_tiles = kTiles;
  picture.width = picture.height = spec.image_size;
  picture.pixels.assign(kTiles * picture.tile_bytes(), 64);
  std::vector<float> first;
  for (int round = 0; round < 3; ++round) {
    std::vector<float> rows(size_t(kTiles) * spec.tokens_per_tile() * vision.out_width());
    int told = 0;
    vision.forward(picture, {}, [&](int first_tile, const Tensor& t) {
      device.read(&rows[size_t(first_tile) * spec.tokens_per_tile() * vision.out_width()], t);
      told += t.rows;
    });
    CHECK_EQ(told, kTiles * spec.tokens_per_tile());
    if (round == 0) first = rows;
    CHECK(rows == first);
  }
  CHECK(device.num_compared() >= 2);
}

bool fails(const std::function<void()>& body) {
  try {
    body();
  } catch (const CheckFailed&) {
    return true;
  }
  return false;
}

TEST(trace_device_finds_planted_mistakes) {
  CpuDevice cpu(Isa::kReference, 1);
  TraceDevice device(cpu);
  const Tensor x = device.allocate(2, 8, DType::kF32), y = device.allocate(2, 8, DType::kF32);
  const auto run = [&](uint64_t graph, const std::function<void()>& body) {
    return fails([&] { device.run({graph, Staged{}}, {}, body); });
  };
  CHECK(run(1, [&] { device.allocate(1, 1, DType::kF32); }));
  std::vector<float> values(16);
  CHECK(run(2, [&] { device.read(values.data(), x); }));
  CHECK(run(3, [&] { device.copy({y, x}); }));  // nothing has written x
  device.write(x, values.data());
  CHECK(!run(4, [&] { device.copy({y, x}); }));
  CHECK(!run(4, [&] { device.copy({y, x}); }));
  CHECK(run(4, [&] { device.copy({y.part(0, 1), x.part(0, 1)}); }));  // another op under the same key
  CHECK(run(4, [] {}));
  CHECK(run(5, [&] { device.copy({x, y}); }));  // y was of the last run
}

}  // namespace
}  // namespace mmprm
