// Generation on a golden checkpoint, natively, so that sanitizers see it: equal bits whatever runs beside it,
// aborts, stops, pauses and closing from other threads at any moment.
#include <future>
#include <random>
#include <thread>

#include "base/cpu_features.h"
#include "golden_model.h"
#include "harness.h"
#include "include/engine/engine.h"

namespace mmprm {
namespace {

constexpr uint64_t kFewPages = 40;

std::shared_ptr<Engine> open(uint64_t kv_cache_bytes = uint64_t{1} << 26, int threads = 2) {
  EngineOptions options;
  options.model_folder = text_model();
  options.num_threads = threads;
  options.kv_cache_bytes = kv_cache_bytes;
  return Engine::open(options, {}, nullptr);
}

struct Outcome {
  bool failed = false;
  ErrorCode code = ErrorCode::kInternal;
  GenerateResult result;
};

// WHY at once, on the engine's thread: ThreadSanitizer does not see the reference count of exception_ptr.
Outcome outcome_of(std::exception_ptr error, GenerateResult result) {
  if (!error) return {false, {}, std::move(result)};
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    return {true, e.code(), {}};
  }
}

GenerateRequest request_of(std::vector<int32_t> prompt, int num_samples, int max_tokens, uint64_t seed = 1) {
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.num_samples = num_samples;
  request.max_tokens = max_tokens;
  request.seed = seed;
  request.sampling.top_k = 40;
  request.sampling.top_p = 0.95f;
  request.sampling.repetition_penalty = 1.1f;
  request.want_logprobs = true;
  return request;
}

struct Running {
  uint64_t handle;
  std::future<Outcome> outcome;
};

Running start(Engine& engine, GenerateRequest request, CancelFlag cancelled = {},
              std::function<void(std::vector<TokenEvent>)> on_tokens = {}) {
  auto promise = std::make_shared<std::promise<Outcome>>();
  const uint64_t handle = engine.generate(std::move(request), std::move(cancelled), std::move(on_tokens),
                                          [promise](std::exception_ptr error, GenerateResult result) {
                                            promise->set_value(outcome_of(error, std::move(result)));
                                          });
  return {handle, promise->get_future()};
}

void check_equal(const GenerateResult& a, const GenerateResult& b) {
  CHECK_EQ(a.samples.size(), b.samples.size());
  for (size_t i = 0; i < a.samples.size(); ++i) {
    CHECK(a.samples[i].tokens == b.samples[i].tokens);
    CHECK(a.samples[i].logprobs == b.samples[i].logprobs);
    CHECK(a.samples[i].finish == b.samples[i].finish);
  }
}

std::vector<int32_t> prompt_of(int kind, int length) {
  std::vector<int32_t> prompt;
  for (int i = 0; i < length; ++i) prompt.push_back(5 + (i < length / 2 ? i % 17 : (i * (kind + 3)) % 90));
  return prompt;
}

TEST(generate_same_bits_in_any_company) {
  std::vector<GenerateResult> alone;
  for (int i = 0; i < 8; ++i) {
    const auto fresh = open(uint64_t{1} << 26, 1);
    alone.push_back(start(*fresh, request_of(prompt_of(i % 3, 20 + i), 3, 40, i)).outcome.get().result);
  }
  const auto probe = open();
  const uint64_t page_bytes = uint64_t(probe->stats().bytes_per_page);
  for (const uint64_t budget : {uint64_t{1} << 26, kFewPages * page_bytes}) {
    const auto engine = open(budget);
    std::vector<Running> running;
    for (int round = 0; round < 2; ++round) {
      for (int i = 0; i < 8; ++i)
        running.push_back(start(*engine, request_of(prompt_of(i % 3, 20 + i), 3, 40, i)));
    }
    for (size_t i = 0; i < running.size(); ++i) check_equal(running[i].outcome.get().result, alone[i % 8]);
    const EngineStats stats = engine->stats();
    CHECK_EQ(stats.num_used_pages, stats.num_cached_pages);
    CHECK(stats.num_reused_tokens > 0);
    if (budget < uint64_t{1} << 26) CHECK(stats.num_preemptions > 0);
  }
}

TEST(generate_streams_what_it_returns) {
  const auto engine = open();
  GenerateRequest request = request_of(prompt_of(1, 30), 4, 50);
  request.stream = true;
  std::vector<std::vector<int32_t>> streamed(4);
  Running running = start(*engine, request, {}, [&](std::vector<TokenEvent> events) {
    for (const TokenEvent& e : events) streamed[e.sample].push_back(e.token);
  });
  const Outcome outcome = running.outcome.get();
  for (int i = 0; i < 4; ++i) CHECK(streamed[i] == outcome.result.samples[i].tokens);
}

TEST(generate_stops_pauses_and_goes_on_from_other_threads) {
  const auto engine = open();
  GenerateRequest request = request_of(prompt_of(2, 30), 3, 300);
  request.stream = true;
  std::promise<void> started;
  std::atomic<bool> first{true};
  Running running = start(*engine, request, {}, [&](std::vector<TokenEvent>) {
    if (first.exchange(false)) started.set_value();
  });
  started.get_future().wait();
  engine->stop_sample(running.handle, 1);
  engine->set_paused(running.handle, true);
  check_equal(start(*engine, request_of(prompt_of(0, 9), 1, 5)).outcome.get().result,
              start(*engine, request_of(prompt_of(0, 9), 1, 5)).outcome.get().result);
  engine->set_paused(running.handle, false);
  const Outcome outcome = running.outcome.get();
  CHECK(outcome.result.samples[1].finish == FinishReason::kNone);
  CHECK(outcome.result.samples[1].tokens.size() < 300);
  CHECK_EQ(outcome.result.samples[0].tokens.size(), size_t(300));
}

TEST(generate_aborts_at_any_moment_and_frees_its_pages) {
  const auto engine = open();
  std::mt19937 random(4);
  for (int i = 0; i < 12; ++i) {
    const auto cancelled = std::make_shared<std::atomic<bool>>(false);
    Running running = start(*engine, request_of(prompt_of(i, 40), 4, 400), cancelled);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 8000));
    cancelled->store(true);
    engine->wake();
    const Outcome outcome = running.outcome.get();
    CHECK(outcome.failed && outcome.code == ErrorCode::kAborted);
    const EngineStats stats = engine->stats();
    CHECK_EQ(stats.num_used_pages, stats.num_cached_pages);
  }
}

ForwardRequest score_of(const GenerateRequest& generate) {
  ForwardRequest request;
  request.sequences = {generate.prompt};
  request.wanted = {{static_cast<int32_t>(generate.prompt.size()) - 1}};
  request.output = Output::kPair;
  request.pair[0] = 1;
  request.pair[1] = 2;
  return request;
}

std::vector<float> score(Engine& engine, const GenerateRequest& generate) {
  std::promise<std::vector<float>> promise;
  engine.forward(score_of(generate), {}, [&](std::exception_ptr error, ForwardResult result) {
    promise.set_value(error ? std::vector<float>{} : result.values.at(0));
  });
  return promise.get_future().get();
}

// Few pages, so that what one thread forks the others evict; what is not aborted has the bits of a fresh run.
TEST(generate_and_score_from_many_threads_with_random_aborts) {
  constexpr int kKinds = 6, kClients = 4, kCalls = 12;
  std::vector<GenerateResult> alone;
  std::vector<std::vector<float>> scores;
  const auto request = [](int kind) { return request_of(prompt_of(kind % 3, 24 + 9 * kind), 2, 30, kind); };
  for (int kind = 0; kind < kKinds; ++kind) {
    const auto fresh = open(uint64_t{1} << 26, 1);
    scores.push_back(score(*fresh, request(kind)));
    alone.push_back(start(*fresh, request(kind)).outcome.get().result);
  }
  const auto engine = open(kFewPages * uint64_t(open()->stats().bytes_per_page));
  std::atomic<int> wrong{0}, finished{0};
  const auto client = [&](unsigned seed) {
    std::mt19937 random(seed);
    for (int call = 0; call < kCalls; ++call) {
      const int kind = int(random() % kKinds);
      const auto cancelled = std::make_shared<std::atomic<bool>>(false);
      Running running = start(*engine, request(kind), cancelled);
      if (random() % 3 == 0) {
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
        cancelled->store(true);
        engine->wake();
      }
      wrong += score(*engine, request(kind)) != scores[kind];
      const Outcome outcome = running.outcome.get();
      if (outcome.failed) {
        wrong += outcome.code != ErrorCode::kAborted;
        continue;
      }
      ++finished;
      for (size_t i = 0; i < alone[kind].samples.size(); ++i)
        wrong += outcome.result.samples[i].logprobs != alone[kind].samples[i].logprobs;
    }
  };
  std::vector<std::thread> clients;
  for (int c = 0; c < kClients; ++c) clients.emplace_back(client, unsigned(c));
  for (std::thread& c : clients) c.join();
  CHECK_EQ(wrong.load(), 0);
  CHECK(finished > 0);
  const EngineStats stats = engine->stats();
  CHECK(stats.num_evicted_pages > 0);
  CHECK_EQ(stats.num_used_pages, stats.num_cached_pages);
}

TEST(generate_is_told_when_the_engine_closes) {
  for (int delay_ms : {0, 1, 5, 15}) {
    const auto engine = open();
    std::vector<Running> running;
    for (int i = 0; i < 6; ++i) running.push_back(start(*engine, request_of(prompt_of(i, 30), 4, 400)));
    std::thread closer([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
      engine->close();
    });
    int closed = 0;
    for (Running& r : running) {
      const Outcome outcome = r.outcome.get();
      if (outcome.failed) CHECK(outcome.code == ErrorCode::kClosed);
      closed += outcome.failed;
    }
    closer.join();
    CHECK(closed > 0);
    CHECK_ERROR(engine->generate(request_of({5}, 1, 1), {}, {}, {}), ErrorCode::kClosed);
  }
}

TEST(generate_refuses_what_can_never_run) {
  const auto engine = open();
  const auto refused = [&](GenerateRequest request) {
    CHECK_ERROR(engine->generate(std::move(request), {}, {}, {}), ErrorCode::kInvalidArgument);
  };
  refused(request_of({}, 1, 1));
  refused(request_of({5}, 0, 1));
  refused(request_of({5}, 1, 0));
  refused(request_of({5}, 1 << 20, 100));
  refused(request_of({-1}, 1, 1));
  refused(request_of(std::vector<int32_t>(size_t(engine->info().decoder.max_positions), 5), 1, 1));
  GenerateRequest stop = request_of({5}, 1, 1);
  stop.stop_ids = {engine->info().decoder.vocab};
  refused(stop);
  GenerateRequest top_p = request_of({5}, 1, 1);
  top_p.sampling.top_p = 0;
  refused(top_p);
}

}  // namespace
}  // namespace mmprm
