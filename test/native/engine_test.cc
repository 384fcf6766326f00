// The engine's life on a golden checkpoint, natively, so that sanitizers see it: jobs from several
// threads, equal bits alone and together, aborts and closing at any moment. What the numbers should be
// is held by the golden tests.
#include "include/engine/engine.h"

#include <future>
#include <optional>
#include <thread>

#include "base/cpu_features.h"
#include "golden_model.h"
#include "harness.h"

namespace mmprm {
namespace {

std::shared_ptr<Engine> open(const std::string& folder, Isa isa, DType weights = DType::kBF16) {
  return Engine::open({folder, weights, 2, std::string(isa_name(isa))}, {}, nullptr);
}

struct Outcome {
  std::optional<ErrorCode> error;
  ForwardResult result;
};

// WHY at once, on the engine's thread: ThreadSanitizer does not see the reference count of exception_ptr.
std::optional<ErrorCode> code_of(std::exception_ptr error) {
  if (!error) return std::nullopt;
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    return e.code();
  }
}

std::future<Outcome> forward(Engine& engine, std::vector<std::vector<int32_t>> sequences,
                             CancelFlag cancelled = {}) {
  ForwardRequest request;
  for (const std::vector<int32_t>& s : sequences) request.wanted.push_back({int32_t(s.size()) - 1});
  request.sequences = std::move(sequences);
  auto promise = std::make_shared<std::promise<Outcome>>();
  engine.forward(std::move(request), std::move(cancelled),
                 [promise](std::exception_ptr error, ForwardResult result) {
                   promise->set_value({code_of(error), std::move(result)});
                 });
  return promise->get_future();
}

std::vector<float> values_of(std::future<Outcome> future, size_t sequence = 0) {
  const Outcome outcome = future.get();
  CHECK(!outcome.error);
  return outcome.result.values.at(sequence);
}

std::vector<int32_t> tokens(int count, int seed) {
  std::vector<int32_t> out;
  for (int i = 0; i < count; ++i) out.push_back((i * 37 + (i < count / 2 ? 0 : seed) * 11) % 200);
  return out;
}

TEST(engine_gives_equal_bits_alone_packed_and_from_several_threads) {
  for (Isa isa : supported_isas()) {
    for (DType weights : {DType::kBF16, DType::kF32}) {
      const auto engine = open(text_model(), isa, weights);
      const std::vector<std::vector<int32_t>> sequences{tokens(40, 1), tokens(40, 2), tokens(7, 3)};
      auto packed = forward(*engine, sequences).get();
      CHECK(!packed.error);
      std::vector<std::future<std::vector<float>>> callers;
      for (const std::vector<int32_t>& s : sequences) {
        callers.push_back(
            std::async(std::launch::async, [&engine, s] { return values_of(forward(*engine, {s})); }));
      }
      for (size_t i = 0; i < sequences.size(); ++i) CHECK(callers[i].get() == packed.result.values[i]);
    }
  }
}

TEST(engine_aborts_what_waits_and_what_runs) {
  const auto engine = open(text_model(1), detect_isa());
  std::vector<std::future<Outcome>> running;
  std::vector<CancelFlag> flags;
  for (int i = 0; i < 16; ++i) {
    flags.push_back(std::make_shared<std::atomic<bool>>(false));
    running.push_back(forward(*engine, {tokens(300, i)}, flags.back()));
  }
  for (int i = 1; i < 16; i += 2) flags[i]->store(true);
  for (int i = 0; i < 16; ++i) {
    const Outcome outcome = running[i].get();
    if (outcome.error) CHECK(i % 2 == 1 && outcome.error == ErrorCode::kAborted);
  }
}

TEST(engine_closes_while_others_call) {
  for (int round = 0; round < 4; ++round) {
    const auto engine = open(text_model(2), detect_isa());
    std::vector<std::thread> callers;
    std::atomic<int> settled{0};
    for (int caller = 0; caller < 3; ++caller) {
      callers.emplace_back([&, caller] {
        for (int i = 0; i < 8; ++i) {
          try {
            const Outcome outcome = forward(*engine, {tokens(60, caller)}).get();
            if (outcome.error) require(outcome.error == ErrorCode::kClosed, "closed is the only reason");
          } catch (const Error& error) {
            require(error.code() == ErrorCode::kClosed, error.what());
          }
          ++settled;
        }
      });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(3 * round));
    engine->close();
    engine->close();
    for (std::thread& caller : callers) caller.join();
    CHECK_EQ(settled.load(), 24);
    CHECK_ERROR(forward(*engine, {tokens(4, 0)}), ErrorCode::kClosed);
  }
}

TEST(engine_opening_can_be_aborted) {
  const auto cancelled = std::make_shared<std::atomic<bool>>(true);
  CHECK_ERROR(Engine::open({text_model(), DType::kBF16, 1, ""}, {}, cancelled), ErrorCode::kAborted);
}

TEST(engine_refuses_bad_requests_before_queueing_them) {
  const auto engine = open(text_model(), detect_isa());
  CHECK_ERROR(forward(*engine, {}), ErrorCode::kInvalidArgument);
  CHECK_ERROR(forward(*engine, {{1, -2}}), ErrorCode::kInvalidArgument);
  CHECK_ERROR(forward(*engine, {{1 << 30}}), ErrorCode::kInvalidArgument);
  CHECK_ERROR(forward(*engine, {std::vector<int32_t>(1 << 22, 1)}), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace mmprm
