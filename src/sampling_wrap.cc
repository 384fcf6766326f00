#include "sampling_wrap.h"

#include <algorithm>

#include "fields.h"
#include "guard.h"

namespace mmprm::addon {

SamplingParams to_sampling_params(Napi::Object object) {
  SamplingParams p;
  p.temperature = get_float(object, "temperature");
  p.top_k = get_int(object, "topK");
  p.top_p = get_float(object, "topP");
  p.min_p = get_float(object, "minP");
  p.repetition_penalty = get_float(object, "repetitionPenalty");
  p.frequency_penalty = get_float(object, "frequencyPenalty");
  p.presence_penalty = get_float(object, "presencePenalty");
  const std::string scope = get_string(object, "penaltyScope"), order = get_string(object, "order");
  if (scope != "all" && scope != "generated") reject_field("penaltyScope", "all or generated");
  if (order != "vllm" && order != "hf") reject_field("order", "vllm or hf");
  p.penalty_scope = scope == "all" ? PenaltyScope::kAll : PenaltyScope::kGenerated;
  p.order = order == "vllm" ? SamplingOrder::kVllm : SamplingOrder::kHf;
  return p;
}

Napi::Value sample_distribution(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const Napi::Object request = info[0].As<Napi::Object>();
    const TokenDistribution distribution = shape_distribution(
        copy_floats(request.Get("logits"), "logits"), copy_ints(request.Get("promptIds"), "promptIds"),
        copy_ints(request.Get("generatedIds"), "generatedIds"),
        to_sampling_params(request.Get("sampling").As<Napi::Object>()));
    const std::vector<int32_t> draws =
        draw_tokens(distribution, get_uint64(request, "seed"), get_int(request, "numDraws"));
    return object_of(info.Env(), {{"tokens", to_js(info.Env(), distribution.tokens)},
                                  {"probabilities", to_js(info.Env(), distribution.probabilities)},
                                  {"draws", to_js(info.Env(), draws)}});
  });
}

Napi::Value philox_block(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const std::vector<uint32_t> counter = copy_words(info[0], "counter"), key = copy_words(info[1], "key");
    if (counter.size() != 4) reject_field("counter", "four words");
    if (key.size() != 2) reject_field("key", "two words");
    const std::vector<uint32_t> words = random_words(counter, key);
    Napi::Uint32Array out = Napi::Uint32Array::New(info.Env(), words.size());
    std::copy(words.begin(), words.end(), out.Data());
    return out;
  });
}

}  // namespace mmprm::addon
