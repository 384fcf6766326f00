// What the batcher remembers of one request. Private to engine/batcher.cc.
#pragma once
#include <utility>

#include "device/token_history.h"
#include "engine/batcher.h"

namespace mmprm {

inline double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

struct Batcher::Task {
  Task(CancelFlag flag, Images held) : cancelled(std::move(flag)), images(std::move(held)) {}
  virtual ~Task() = default;
  // Both return the call of the callback, to be made once the books are closed.
  virtual std::function<void()> fail(std::exception_ptr error) = 0;
  virtual std::function<void()> finish(Scheduler& scheduler, GroupId id) = 0;

  CancelFlag cancelled;
  Images images;  // alive while their rows may have to be computed again
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
};

struct Batcher::GenerateTask : Task {
  GenerateTask(uint64_t handle, std::shared_ptr<const GenerateRequest> request, CancelFlag flag, Images held,
               std::function<void(std::vector<TokenEvent>)> on_tokens, Callback<GenerateResult> callback)
      : Task(std::move(flag), std::move(held)),
        handle(handle),
        request(std::move(request)),
        on_tokens(std::move(on_tokens)),
        callback(std::move(callback)) {
    const GenerateRequest& r = *this->request;
    histories.assign(r.num_samples, TokenHistory(r.prompt, r.sampling.penalty_scope));
    result.samples.resize(r.num_samples);
    result.num_prompt_tokens = static_cast<int64_t>(r.prompt.size());
  }

  Draw draw_for(int sample, int logits_row) const {
    const GenerateRequest& r = *request;
    const SeenTokens seen = histories[sample].seen();
    Draw draw;
    draw.logits_row = logits_row;
    draw.params = r.sampling;
    draw.repeated = seen.repeated.data();
    draw.num_repeated = static_cast<int32_t>(seen.repeated.size());
    draw.generated = seen.generated.data();
    draw.num_generated = static_cast<int32_t>(seen.generated.size());
    draw.seed = r.seed;
    draw.sample = r.first_sample + static_cast<uint32_t>(sample);
    draw.position = static_cast<uint32_t>(r.prompt.size() + result.samples[sample].tokens.size());
    draw.want_logprob = r.want_logprobs;
    return draw;
  }

  void append(int sample, const Draw& draw, FinishReason finish) {
    SampleResult& s = result.samples[sample];
    if (result.first_token_milliseconds == 0) result.first_token_milliseconds = milliseconds_since(start);
    s.tokens.push_back(draw.token);
    if (request->want_logprobs) s.logprobs.push_back(draw.logprob);
    s.finish = finish;
    histories[sample].add_generated(draw.token);
    if (request->stream) events.push_back({sample, draw.token, finish});
  }

  void send_events() {
    if (!events.empty()) on_tokens(std::exchange(events, {}));
  }

  std::function<void()> fail(std::exception_ptr error) override {
    return [callback = callback, error] { callback(error, {}); };
  }
  std::function<void()> finish(Scheduler& scheduler, GroupId id) override {
    result.num_reused_tokens = scheduler.num_reused_tokens(id);
    result.num_prefilled_tokens = scheduler.num_computed_tokens(id);
    result.milliseconds = milliseconds_since(start);
    auto shared = std::make_shared<GenerateResult>(std::move(result));
    return [callback = callback, shared] { callback(nullptr, std::move(*shared)); };
  }

  uint64_t handle;
  std::shared_ptr<const GenerateRequest> request;
  std::function<void(std::vector<TokenEvent>)> on_tokens;
  Callback<GenerateResult> callback;
  std::vector<TokenHistory> histories;
  std::vector<TokenEvent> events;
  GenerateResult result;
};

struct Batcher::ScoreTask : Task {
  ScoreTask(std::shared_ptr<const ForwardRequest> request, int width, CancelFlag flag, Images held,
            Callback<ForwardResult> callback)
      : Task(std::move(flag), std::move(held)),
        request(std::move(request)),
        width(width),
        callback(std::move(callback)) {}

  std::function<void()> fail(std::exception_ptr error) override {
    return [callback = callback, error] { callback(error, {}); };
  }
  std::function<void()> finish(Scheduler& scheduler, GroupId id) override {
    ForwardResult result;
    result.width = width;
    for (const auto& positions : scheduler.take_scores(id)) {
      std::vector<float>& values = result.values.emplace_back();
      for (const std::vector<float>& v : positions) values.insert(values.end(), v.begin(), v.end());
    }
    for (const std::vector<int32_t>& tokens : request->sequences) result.num_tokens += tokens.size();
    result.num_computed_tokens = scheduler.num_computed_tokens(id);
    result.milliseconds = milliseconds_since(start);
    auto shared = std::make_shared<ForwardResult>(std::move(result));
    return [callback = callback, shared] { callback(nullptr, std::move(*shared)); };
  }

  std::shared_ptr<const ForwardRequest> request;
  int width;
  Callback<ForwardResult> callback;
};

}  // namespace mmprm
