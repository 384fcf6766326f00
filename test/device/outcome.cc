#include "outcome.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <future>
#include <limits>

#include "base/content_hash.h"

namespace mmprm::golden {
namespace {

constexpr int kSiblings = 3;
constexpr int kDrawnTokens = 12;

// Waits for what `begin(callback)` has begun.
template <typename Result, typename Begin>
Result wait_for(Begin begin) {
  auto promise = std::make_shared<std::promise<Result>>();
  begin([promise](std::exception_ptr error, Result result) {
    if (error) return promise->set_exception(error);
    promise->set_value(std::move(result));
  });
  return promise->get_future().get();
}

ForwardResult forward(Engine& engine, ForwardRequest request) {
  return wait_for<ForwardResult>(
      [&](auto callback) { engine.forward(std::move(request), nullptr, callback); });
}

ForwardRequest logits_request(const Case& c) {
  ForwardRequest request;
  request.sequences = c.sequences;
  request.wanted = c.wanted;
  request.images = c.pictures;
  request.image_token = c.image_token;
  request.want_hidden = true;
  return request;
}

ForwardRequest score_request(const Case& c, const std::vector<size_t>& which) {
  ForwardRequest request;
  for (size_t i : which) {
    request.sequences.push_back(c.sequences[i]);
    request.wanted.push_back(c.wanted[i]);
  }
  request.images = c.pictures;
  request.image_token = c.image_token;
  request.output = c.has_pair ? Output::kPair : Output::kClasses;
  std::memcpy(request.pair, c.pair, sizeof request.pair);
  return request;
}

GenerateRequest generate_request(const Case& c) {
  GenerateRequest request;
  request.prompt = c.sequences[0];
  request.images = c.pictures;
  request.image_token = c.image_token;
  return request;
}

GenerateResult generate(Engine& engine, const GenerateRequest& request) {
  return wait_for<GenerateResult>([&](auto callback) { engine.generate(request, nullptr, {}, callback); });
}

// Of the first of two words, of the second class of a reward head, or of its only value.
std::vector<float> scores_of(const std::vector<float>& values, int width, bool has_pair) {
  std::vector<float> scores;
  for (size_t i = 0; i + size_t(width) <= values.size(); i += size_t(width)) {
    const double first = values[i], second = width == 1 ? 0 : values[i + 1];
    scores.push_back(float(1 / (1 + std::exp(has_pair || width == 1 ? second - first : first - second))));
  }
  return scores;
}

void run_vision(Engine& engine, const Case& c, Outcome& out) {
  VisionResult seen = wait_for<VisionResult>(
      [&](auto callback) { engine.embed_image(c.pictures.at(0), true, nullptr, callback); });
  const size_t state = seen.hidden.size() / size_t(seen.num_states);
  out.tensors["vitLast"].assign(seen.hidden.end() - ptrdiff_t(state), seen.hidden.end());
  out.tensors["vitHidden"] = std::move(seen.hidden);
  if (!seen.deepstack.empty()) out.tensors["deepstack"] = std::move(seen.deepstack);
  out.tensors["pixels"] = std::move(seen.pixels);
  out.tensors["embeds"] = std::move(seen.embeds);
}

std::vector<size_t> all_of(const Case& c) {
  std::vector<size_t> all(c.sequences.size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = i;
  return all;
}

void run_score(Engine& engine, const Case& c, Outcome& out) {
  const ForwardResult result = forward(engine, score_request(c, all_of(c)));
  for (size_t i = 0; i < result.values.size(); ++i) {
    const bool one = c.tensors.count("markerLogits") > 0;
    out.tensors[one ? "markerLogits" : "markerLogits" + std::to_string(i)] = result.values[i];
    out.scores.push_back(scores_of(result.values[i], result.width, c.has_pair));
  }
}

void run_greedy(Engine& engine, const Case& c, Outcome& out) {
  GenerateRequest request = generate_request(c);
  request.num_samples = kSiblings;
  request.max_tokens = c.max_tokens;
  request.stop_ids = c.stop_ids;
  request.sampling.temperature = 0;
  for (SampleResult& sample : generate(engine, request).samples)
    out.tokens.push_back(std::move(sample.tokens));
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void scores_alone(Engine& engine, const Case& c, std::vector<std::string>& broken) {
  const ForwardResult together = forward(engine, score_request(c, all_of(c)));
  for (size_t i = c.sequences.size(); i-- > 0;) {
    const ForwardResult alone = forward(engine, score_request(c, {i}));
    if (!same_bits(alone.values[0], together.values[i]))
      broken.push_back(c.name + ": solution " + std::to_string(i) +
                       " alone has other bits than among others");
  }
}

// All text sequences in one batch, beside each by itself.
void logits_in_a_batch(Engine& engine, const Model& model, std::vector<std::string>& broken) {
  std::vector<const Case*> cases;
  ForwardRequest batch;
  batch.want_hidden = true;
  for (const Case& c : model.cases) {
    if (c.kind != Kind::kLogits || !c.pictures.empty()) continue;
    cases.push_back(&c);
    batch.sequences.push_back(c.sequences[0]);
    batch.wanted.push_back(c.wanted[0]);
  }
  if (cases.size() < 2) return;
  const ForwardResult together = forward(engine, batch);
  for (size_t i = 0; i < cases.size(); ++i) {
    const ForwardResult alone = forward(engine, logits_request(*cases[i]));
    if (!same_bits(alone.values[0], together.values[i]) || !same_bits(alone.hidden[0], together.hidden[i]))
      broken.push_back(cases[i]->name + ": alone it has other bits than in a batch");
  }
}

void siblings_alone(Engine& engine, const Case& c, std::vector<std::string>& broken, Outcome& drawn) {
  GenerateRequest request = generate_request(c);
  request.num_samples = kSiblings;
  request.max_tokens = kDrawnTokens;
  request.seed = 2024;
  request.want_logprobs = true;
  request.sampling.top_k = 50;
  request.sampling.top_p = 0.9f;
  request.sampling.repetition_penalty = 1.05f;
  const GenerateResult together = generate(engine, request);
  request.num_samples = 1;
  for (int i = kSiblings; i-- > 0;) {
    request.first_sample = uint32_t(i);
    const SampleResult alone = generate(engine, request).samples.at(0);
    const SampleResult& sibling = together.samples[size_t(i)];
    if (alone.tokens != sibling.tokens || !same_bits(alone.logprobs, sibling.logprobs))
      broken.push_back(c.name + ": sample " + std::to_string(i) + " alone is another than among siblings");
  }
  for (const SampleResult& sample : together.samples) {
    drawn.tokens.push_back(sample.tokens);
    drawn.tensors["logprobs " + std::to_string(drawn.tokens.size())] = sample.logprobs;
  }
}

}  // namespace

Outcome run_case(Engine& engine, const Case& c) {
  Outcome out;
  switch (c.kind) {
    case Kind::kVision:
      run_vision(engine, c, out);
      break;
    case Kind::kLogits: {
      const ForwardResult result = forward(engine, logits_request(c));
      out.tensors["logits"] = result.values.at(0);
      out.tensors["hidden"] = result.hidden.at(0);
      break;
    }
    case Kind::kScore:
      run_score(engine, c, out);
      break;
    case Kind::kGreedy:
      run_greedy(engine, c, out);
      break;
  }
  return out;
}

uint64_t hash_of(const Outcome& outcome, uint64_t before) {
  const auto add = [&](const void* data, size_t bytes) {
    const ContentHash hash = content_hash(data, bytes);
    const uint64_t words[3] = {before, hash.low, hash.high};
    before = content_hash(words, sizeof words).low;
  };
  for (const auto& [name, values] : outcome.tensors) {
    std::vector<uint32_t> bits(values.size());
    for (size_t i = 0; i < values.size(); ++i)
      bits[i] = std::isnan(values[i]) ? 0x7fc00000u : std::bit_cast<uint32_t>(values[i]);
    add(name.data(), name.size());
    add(bits.data(), bits.size() * sizeof bits[0]);
  }
  for (const std::vector<int32_t>& tokens : outcome.tokens)
    add(tokens.data(), tokens.size() * sizeof tokens[0]);
  return before;
}

std::vector<std::string> broken_promises(Engine& engine, const Model& model, Outcome& drawn) {
  std::vector<std::string> broken;
  logits_in_a_batch(engine, model, broken);
  const Case* prompt = nullptr;
  for (const Case& c : model.cases) {
    if (c.kind == Kind::kScore) scores_alone(engine, c, broken);
    if (c.kind == Kind::kGreedy && !prompt) prompt = &c;
  }
  if (prompt) siblings_alone(engine, *prompt, broken, drawn);
  return broken;
}

double relative_distance(const std::vector<float>& a, const std::vector<float>& b) {
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  if (a.size() != b.size()) return kInfinite;
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = double(a[i]) - double(b[i]);
    difference += d * d;
    norm += double(b[i]) * double(b[i]);
  }
  const double distance = std::sqrt(difference / (norm > 0 ? norm : 1));
  return std::isnan(distance) ? kInfinite : distance;
}

}  // namespace mmprm::golden
