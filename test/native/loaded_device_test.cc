// A device in a library of its own gives the bits that it gives at home, and says why where it cannot be had.
#include "backends/loaded_device.h"

#include <filesystem>
#include <future>

#include "backends/open_device.h"
#include "golden_model.h"
#include "harness.h"
#include "include/engine/engine.h"
#include "include/engine/trainer.h"

namespace mmprm {
namespace {

std::string library() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "cpu_device.so";
}

std::vector<std::vector<float>> logits_of(Engine& engine) {
  ForwardRequest request;
  request.sequences = {{3, 1, 4, 1, 5, 9, 2, 6}, {3, 1, 4, 1, 7}};
  request.wanted = {{0, 7}, {4}};
  request.want_hidden = true;
  auto promise = std::make_shared<std::promise<std::vector<std::vector<float>>>>();
  engine.forward(request, nullptr, [promise](std::exception_ptr error, ForwardResult result) {
    if (error) return promise->set_exception(error);
    std::vector<std::vector<float>> all = std::move(result.values);
    all.insert(all.end(), result.hidden.begin(), result.hidden.end());
    promise->set_value(std::move(all));
  });
  return promise->get_future().get();
}

std::vector<std::vector<int32_t>> tokens_of(Engine& engine) {
  GenerateRequest request;
  request.prompt = {3, 1, 4, 1, 5};
  request.num_samples = 3;
  request.max_tokens = 6;
  request.seed = 7;
  request.sampling.repetition_penalty = 1.2f;
  auto promise = std::make_shared<std::promise<std::vector<std::vector<int32_t>>>>();
  engine.generate(request, nullptr, {}, [promise](std::exception_ptr error, GenerateResult result) {
    if (error) return promise->set_exception(error);
    std::vector<std::vector<int32_t>> tokens;
    for (const SampleResult& sample : result.samples) tokens.push_back(sample.tokens);
    promise->set_value(std::move(tokens));
  });
  return promise->get_future().get();
}

TEST(loaded_device_gives_the_bits_of_the_same_device_at_home) {
  EngineOptions home, away;
  home.model_folder = away.model_folder = text_model();
  home.isa = "reference";
  away.device = "cuda:0";
  away.device_library = library();
  const auto a = Engine::open(home, {}, nullptr), b = Engine::open(away, {}, nullptr);
  CHECK(logits_of(*a) == logits_of(*b));
  CHECK(tokens_of(*a) == tokens_of(*b));
  CHECK_EQ(b->info().device.why, "asked for");
}

TEST(loaded_device_says_why_it_cannot_be_had) {
  CHECK_EQ(loaded_devices(library()).size(), size_t(2));
  CHECK_ERROR(open_loaded_device("/nowhere/device.so", 0), ErrorCode::kNoDevice);
  CHECK_ERROR(open_loaded_device("libm.so.6", 0), ErrorCode::kNoDevice);   // no device library
  CHECK_ERROR(open_loaded_device(library(), 2), ErrorCode::kNoDevice);     // there are two
  CHECK_ERROR(open_loaded_device(library(), 1), ErrorCode::kOutOfMemory);  // its own reason
  CHECK_ERROR(open_device({"cuda", "", "", 1}), ErrorCode::kNoDevice);     // not installed
  for (const char* name : {"gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:0 ", ""})
    CHECK_ERROR(open_device({name, library(), "", 1}), ErrorCode::kInvalidArgument);
}

TEST(auto_takes_the_first_device_that_opens_and_says_which) {
  CHECK_EQ(open_device({"auto", library(), "", 1}).why, "the first card that opens");
  const OpenDevice none = open_device({"auto", "/nowhere/device.so", "reference", 1});
  CHECK_EQ(std::string(none.device->info().name), "reference, 1 thread");
  CHECK(none.why.find("/nowhere/device.so does not load") != std::string::npos);
}

// What a graph throws on this side passes the library as it is.
TEST(loaded_device_lets_a_graph_throw) {
  const auto device = open_loaded_device(library(), 0);
  const auto run = [&] {
    device->run({1, Staged{}}, {}, [] { throw Error(ErrorCode::kAborted, "enough"); });
  };
  CHECK_ERROR(run(), ErrorCode::kAborted);
  const auto stopped = [&] {
    device->run(
        {1, Staged{}}, [] { throw Error(ErrorCode::kClosed, "closed"); }, [] {});
  };
  CHECK_ERROR(stopped(), ErrorCode::kClosed);
}

}  // namespace
TEST(a_device_that_does_not_train_is_refused_by_name) {
  for (const char* name : {"cuda", "cuda:1", "emulated"}) {
    TrainerOptions options;
    options.device = name;
    options.device_library = library();
    try {
      Trainer::open(options);
      CHECK(false);
    } catch (const Error& e) {
      CHECK(e.code() == ErrorCode::kNoDevice);
      CHECK(std::string(e.what()).find("device \"" + std::string(name) + "\"") != std::string::npos);
    }
  }
}

}  // namespace mmprm
