#include "trainer_convert.h"

#include "convert.h"
#include "fields.h"

namespace mmprm::addon {
namespace {

double get_double(Napi::Object object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsNumber()) reject_field(key, "a number");
  return value.As<Napi::Number>().DoubleValue();
}

bool get_bool(Napi::Object object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsBoolean()) reject_field(key, "a boolean");
  return value.As<Napi::Boolean>().Value();
}

std::vector<std::string> get_strings(Napi::Object object, const char* key) {
  const Napi::Array array = get_array(object, key);
  std::vector<std::string> out;
  for (uint32_t i = 0; i < array.Length(); ++i) out.push_back(to_text(array.Get(i), key));
  return out;
}

TrainSample to_sample(Napi::Object object, TrainTask task) {
  TrainSample sample;
  sample.tokens = copy_ints(object.Get("tokens"), "tokens");
  sample.images = copy_ints(object.Get("images"), "images");
  sample.group = get_int(object, "group");
  if (task == TrainTask::kPairs && object.Has("reference"))
    sample.reference = get_double(object, "reference");
  if (task != TrainTask::kMarkers) {
    sample.token_weights = copy_floats(object.Get("tokenWeights"), "tokenWeights");
  } else {
    sample.markers = copy_ints(object.Get("markers"), "markers");
    sample.labels = copy_floats(object.Get("labels"), "labels");
    sample.marker_weights = copy_floats(object.Get("markerWeights"), "markerWeights");
    if (object.Has("siblings")) sample.siblings = get_int(object, "siblings");
  }
  return sample;
}

TrainTask to_train_task(const std::string& name) {
  if (name == "tokens") return TrainTask::kTokens;
  if (name == "markers") return TrainTask::kMarkers;
  if (name == "pairs") return TrainTask::kPairs;
  reject_field("task", "tokens, markers or pairs");
}

Preference to_preference(Napi::Value value) {
  if (!value.IsObject()) reject_field("preference", "an object");
  const Napi::Object object = value.As<Napi::Object>();
  return {get_double(object, "beta"), get_double(object, "labelSmoothing"),
          get_double(object, "chosenWeight")};
}

Napi::Object get_object(Napi::Object object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsObject()) reject_field(key, "an object");
  return value.As<Napi::Object>();
}

HeadOptions to_head(Napi::Object object) {
  HeadOptions head;
  head.kind = get_string(object, "kind");
  head.name = get_string(object, "name");
  head.outputs = get_int(object, "outputs");
  head.width = get_int(object, "width");
  head.keeps_vocabulary = get_bool(object, "keepsVocabulary");
  return head;
}

}  // namespace

std::string to_text(Napi::Value value, const char* name) {
  if (!value.IsString()) reject_field(name, "a string");
  return value.As<Napi::String>().Utf8Value();
}

DType to_dtype(Napi::Value value) {
  const std::string name = to_text(value, "dtype");
  if (name == "f32") return DType::kF32;
  if (name == "bf16") return DType::kBF16;
  reject_field("dtype", "f32 or bf16");
}

SaveForm to_save_form(Napi::Value value) {
  const std::string name = to_text(value, "form");
  if (name == "full") return SaveForm::kFull;
  if (name == "adapters") return SaveForm::kAdapters;
  reject_field("form", "full or adapters");
}

TensorField to_tensor_field(Napi::Value value) {
  const std::string name = to_text(value, "field");
  if (name == "value") return TensorField::kValue;
  if (name == "gradient") return TensorField::kGradient;
  if (name == "m") return TensorField::kM;
  if (name == "v") return TensorField::kV;
  reject_field("field", "value, gradient, m or v");
}

TrainerOptions to_trainer_options(Napi::Object object) {
  TrainerOptions options;
  options.model_folder = get_string(object, "model");
  if (object.Has("device")) options.device = get_string(object, "device");
  if (object.Has("deviceLibrary")) options.device_library = get_string(object, "deviceLibrary");
  options.compute = to_dtype(object.Get("compute"));
  options.num_threads = get_int(object, "threads");
  options.isa = get_string(object, "isa");
  options.train_vision = get_bool(object, "trainVision");
  options.train_projector = get_bool(object, "trainProjector");
  options.train_language = get_bool(object, "trainLanguage");
  options.recompute = get_bool(object, "recompute");
  options.new_tokens = copy_ints(object.Get("newTokens"), "newTokens");
  options.lora_rank = get_int(object, "loraRank");
  options.lora_alpha = get_double(object, "loraAlpha");
  options.lora_targets = get_strings(object, "loraTargets");
  options.seed = get_uint64(object, "seed");
  if (object.Has("head")) options.head = to_head(get_object(object, "head"));
  return options;
}

TrainBatch to_train_batch(Napi::Object object) {
  TrainBatch batch;
  batch.task = to_train_task(get_string(object, "task"));
  batch.images = to_images(object);
  batch.image_token = get_int(object, "imageToken");
  if (batch.task == TrainTask::kMarkers) {
    const std::vector<int32_t> pair = copy_ints(object.Get("pair"), "pair");
    if (pair.size() != 2) reject_field("pair", "an Int32Array of two ids");
    std::copy(pair.begin(), pair.end(), batch.pair);
    if (object.Has("rank")) {
      const Napi::Object rank = get_object(object, "rank");
      batch.rank = {get_double(rank, "weight"), get_double(rank, "margin")};
    }
  }
  if (batch.task == TrainTask::kPairs) batch.preference = to_preference(object.Get("preference"));
  const Napi::Array samples = get_array(object, "samples");
  for (uint32_t i = 0; i < samples.Length(); ++i) {
    const Napi::Value sample = samples.Get(i);
    if (!sample.IsObject()) reject_field("samples", "a list of objects");
    batch.samples.push_back(to_sample(sample.As<Napi::Object>(), batch.task));
  }
  return batch;
}

StepOptions to_step_options(Napi::Object object) {
  StepOptions options;
  options.learning_rate = get_double(object, "learningRate");
  options.beta1 = get_double(object, "beta1");
  options.beta2 = get_double(object, "beta2");
  options.eps = get_double(object, "eps");
  options.weight_decay = get_double(object, "weightDecay");
  options.decay_vectors = get_bool(object, "decayVectors");
  options.max_norm = get_double(object, "maxNorm");
  if (object.Has("anchor")) options.anchor = get_double(object, "anchor");
  return options;
}

Napi::Value to_js(Napi::Env env, const TrainerInfo& info) {
  return object_of(env, {{"isa", Napi::String::New(env, info.isa)},
                         {"compute", Napi::String::New(env, info.compute == DType::kF32 ? "f32" : "bf16")},
                         {"threads", number(env, info.num_threads)},
                         {"parameters", number(env, double(info.num_parameters))},
                         {"trainable", number(env, double(info.num_trainable))},
                         {"vocab", number(env, info.vocab)},
                         {"maxPositions", number(env, info.max_positions)},
                         {"tokensPerTile", number(env, info.tokens_per_tile)},
                         {"imageSize", number(env, info.image_size)}});
}

Napi::Value to_js(Napi::Env env, const BatchResult& result) {
  Napi::Array predictions = Napi::Array::New(env, result.predictions.size());
  for (uint32_t i = 0; i < result.predictions.size(); ++i)
    predictions.Set(i, to_js(env, result.predictions[i]));
  Napi::Array logprobs = Napi::Array::New(env, result.logprobs.size());
  for (uint32_t i = 0; i < result.logprobs.size(); ++i) logprobs.Set(i, number(env, result.logprobs[i]));
  return object_of(env, {{"loss", number(env, result.loss)},
                         {"weight", number(env, result.weight)},
                         {"numCorrect", number(env, double(result.num_correct))},
                         {"numTerms", number(env, double(result.num_terms))},
                         {"numTokens", number(env, double(result.num_tokens))},
                         {"numRows", number(env, double(result.num_rows))},
                         {"numImageRows", number(env, double(result.num_image_rows))},
                         {"predictions", predictions},
                         {"logprobs", logprobs}});
}

}  // namespace mmprm::addon
