#include "generate_wrap.h"

#include <utility>

#include "convert.h"
#include "fields.h"
#include "guard.h"
#include "main_thread.h"
#include "sampling_wrap.h"
#include "token_stream.h"

namespace mmprm::addon {
namespace {

const char* finish_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kNone:
      break;
  }
  return "stopped";
}

GenerateRequest to_generate_request(Napi::Object object) {
  GenerateRequest request;
  request.prompt = copy_ints(object.Get("prompt"), "prompt");
  request.images = to_images(object);
  request.image_token = get_int(object, "imageToken");
  request.num_samples = get_int(object, "numSamples");
  request.first_sample = static_cast<uint32_t>(get_int(object, "firstSample"));
  request.max_tokens = get_int(object, "maxTokens");
  request.sampling = to_sampling_params(object.Get("sampling").As<Napi::Object>());
  request.seed = get_uint64(object, "seed");
  request.stop_ids = copy_ints(object.Get("stopIds"), "stopIds");
  request.want_logprobs = object.Get("logprobs").ToBoolean();
  request.stream = object.Get("stream").ToBoolean();
  return request;
}

Napi::Value result_to_js(Napi::Env env, const GenerateResult& result) {
  Napi::Array samples = Napi::Array::New(env, result.samples.size());
  for (uint32_t i = 0; i < result.samples.size(); ++i) {
    const SampleResult& s = result.samples[i];
    samples.Set(i, object_of(env, {{"tokens", to_js(env, s.tokens)},
                                   {"logprobs", to_js(env, s.logprobs)},
                                   {"finish", Napi::String::New(env, finish_name(s.finish))}}));
  }
  return object_of(env, {{"samples", samples},
                         {"numPromptTokens", number(env, double(result.num_prompt_tokens))},
                         {"numReusedTokens", number(env, double(result.num_reused_tokens))},
                         {"numPrefilledTokens", number(env, double(result.num_prefilled_tokens))},
                         {"milliseconds", number(env, result.milliseconds)},
                         {"firstTokenMilliseconds", number(env, result.first_token_milliseconds)}});
}

}  // namespace

Napi::Value generate(Napi::Env env, const std::shared_ptr<Engine>& engine, Napi::Object object) {
  GenerateRequest request = to_generate_request(object);
  const auto pending = PendingPromise::create(env);
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  const std::weak_ptr<Engine> weak = engine;
  const auto stream = std::make_shared<TokenStream>(weak);
  const uint64_t handle = engine->generate(
      std::move(request), cancelled,
      [stream](std::vector<TokenEvent> events) { stream->push(std::move(events)); },
      [pending, stream](std::exception_ptr error, GenerateResult result) {
        if (error) {
          pending->reject(error);
        } else {
          auto shared = std::make_shared<const GenerateResult>(std::move(result));
          pending->resolve([shared](Napi::Env env) { return result_to_js(env, *shared); });
        }
        stream->end();
      });
  stream->set_handle(handle);

  Napi::Object job = Napi::Object::New(env);
  job.Set("promise", pending->promise());
  job.Set("abort", Napi::Function::New(env, [cancelled, weak](const Napi::CallbackInfo&) {
            cancelled->store(true);
            if (const auto engine = weak.lock()) engine->wake();
          }));
  job.Set("stopSample", Napi::Function::New(env, [handle, weak](const Napi::CallbackInfo& info) {
            const int sample = info[0].As<Napi::Number>().Int32Value();
            if (const auto engine = weak.lock()) engine->stop_sample(handle, sample);
          }));
  job.Set("next", Napi::Function::New(env, [stream](const Napi::CallbackInfo& info) -> Napi::Value {
            return guarded(info.Env(), [&] { return stream->next(info.Env()); });
          }));
  return job;
}

Napi::Value to_js(Napi::Env env, const EngineStats& s) {
  const auto n = [env](double value) { return number(env, value); };
  return object_of(env, {{"requestsWaiting", n(double(s.num_requests_waiting))},
                         {"requestsRunning", n(double(s.num_requests_running))},
                         {"samplesRunning", n(double(s.num_samples_running))},
                         {"pages", n(double(s.num_pages))},
                         {"usedPages", n(double(s.num_used_pages))},
                         {"cachedPages", n(double(s.num_cached_pages))},
                         {"tokensPerPage", n(double(s.tokens_per_page))},
                         {"bytesPerPage", n(double(s.bytes_per_page))},
                         {"steps", n(double(s.num_steps))},
                         {"decodedTokens", n(double(s.num_decoded_tokens))},
                         {"prefilledTokens", n(double(s.num_prefilled_tokens))},
                         {"reusedTokens", n(double(s.num_reused_tokens))},
                         {"preemptions", n(double(s.num_preemptions))},
                         {"evictedPages", n(double(s.num_evicted_pages))},
                         {"imagesEmbedded", n(double(s.num_images_embedded))},
                         {"imagesReused", n(double(s.num_images_reused))},
                         {"imageBytes", n(double(s.image_bytes))},
                         {"modelMilliseconds", n(s.model_ms)},
                         {"samplingMilliseconds", n(s.sampling_ms)},
                         {"schedulingMilliseconds", n(s.scheduling_ms)}});
}

}  // namespace mmprm::addon
