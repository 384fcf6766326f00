#include "convert.h"

#include <algorithm>
#include <string>

#include "fields.h"
#include "picture_wrap.h"

namespace mmprm::addon {
namespace {

constexpr std::pair<const char*, DType> kWeights[] = {
    {"bf16", DType::kBF16}, {"f32", DType::kF32}, {"int8", DType::kInt8}, {"int4", DType::kInt4}};

DType parse_weights(const std::string& name) {
  for (const auto& [known, dtype] : kWeights) {
    if (name == known) return dtype;
  }
  reject_field("weights", "bf16, f32, int8 or int4");
}

const char* weights_name(DType dtype) {
  for (const auto& [name, known] : kWeights) {
    if (dtype == known) return name;
  }
  return "unknown";
}

std::vector<std::vector<int32_t>> int_lists(Napi::Object object, const char* key) {
  const Napi::Array array = get_array(object, key);
  std::vector<std::vector<int32_t>> lists;
  for (uint32_t i = 0; i < array.Length(); ++i) lists.push_back(copy_ints(array.Get(i), key));
  return lists;
}

Output parse_output(const std::string& name) {
  if (name == "logits") return Output::kLogits;
  if (name == "pair") return Output::kPair;
  if (name == "classes") return Output::kClasses;
  reject_field("output", "logits, pair or classes");
}

Napi::Array to_js(Napi::Env env, const std::vector<std::vector<float>>& lists) {
  Napi::Array array = Napi::Array::New(env, lists.size());
  for (uint32_t i = 0; i < lists.size(); ++i) array.Set(i, addon::to_js(env, lists[i]));
  return array;
}

std::vector<Napi::Object> objects(Napi::Object object, const char* key) {
  std::vector<Napi::Object> out;
  const Napi::Array array = get_array(object, key);
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value item = array.Get(i);
    if (!item.IsObject()) reject_field(key, "a list of objects");
    out.push_back(item.As<Napi::Object>());
  }
  return out;
}

AdapterSource to_adapter(Napi::Object object) {
  AdapterSource adapter;
  adapter.file = get_string(object, "file");
  for (const Napi::Object& o : objects(object, "lowRank")) {
    adapter.low_rank.push_back({get_string(o, "target"), get_string(o, "a"), get_string(o, "b"),
                                get_int(o, "rank"), o.Get("scale").ToNumber().DoubleValue()});
  }
  for (const Napi::Object& o : objects(object, "replaced"))
    adapter.replaced.push_back({get_string(o, "target"), get_string(o, "tensor")});
  adapter.keeps_head = object.Get("keepsHead").ToBoolean();
  return adapter;
}

}  // namespace

EngineOptions to_engine_options(Napi::Object object) {
  std::vector<AdapterSource> adapters;
  for (const Napi::Object& adapter : objects(object, "adapters")) adapters.push_back(to_adapter(adapter));
  return {get_string(object, "model"),
          parse_weights(get_string(object, "weights")),
          get_int(object, "threads"),
          get_string(object, "isa"),
          get_bytes(object, "kvCacheBytes"),
          get_bytes(object, "imageCacheBytes"),
          get_string(object, "device"),
          get_string(object, "deviceLibrary"),
          std::move(adapters)};
}

std::vector<PicturePtr> to_images(Napi::Object object) {
  std::vector<PicturePtr> pictures;
  const Napi::Array images = get_array(object, "images");
  for (uint32_t i = 0; i < images.Length(); ++i) pictures.push_back(to_picture(images.Get(i), "images"));
  return pictures;
}

ForwardRequest to_forward_request(Napi::Object object) {
  ForwardRequest request;
  request.sequences = int_lists(object, "sequences");
  request.wanted = int_lists(object, "wanted");
  request.images = to_images(object);
  request.image_token = get_int(object, "imageToken");
  request.output = parse_output(get_string(object, "output"));
  if (request.output == Output::kPair) {
    const std::vector<int32_t> pair = copy_ints(object.Get("pair"), "pair");
    if (pair.size() != 2) reject_field("pair", "an Int32Array of two ids");
    std::copy(pair.begin(), pair.end(), request.pair);
  }
  request.want_hidden = object.Get("hidden").ToBoolean();
  return request;
}

Napi::Value to_js(Napi::Env env, const DecoderInfo& d) {
  return object_of(env, {{"hidden", number(env, d.hidden)},
                         {"intermediate", number(env, d.intermediate)},
                         {"layers", number(env, d.layers)},
                         {"heads", number(env, d.heads)},
                         {"kvHeads", number(env, d.kv_heads)},
                         {"headDim", number(env, d.head_dim)},
                         {"vocab", number(env, d.vocab)},
                         {"maxPositions", number(env, d.max_positions)},
                         {"slidingWindow", number(env, d.sliding_window)},
                         {"slidingLayers", number(env, d.sliding_layers)},
                         {"head", Napi::String::New(env, d.head)},
                         {"numClasses", number(env, d.num_classes)}});
}

Napi::Value to_js(Napi::Env env, const VisionInfo& v) {
  return object_of(env, {{"hidden", number(env, v.hidden)},
                         {"layers", number(env, v.layers)},
                         {"heads", number(env, v.heads)},
                         {"imageSize", number(env, v.image_size)},
                         {"patchSize", number(env, v.patch_size)},
                         {"tokensPerTile", number(env, v.tokens_per_tile)},
                         {"minTiles", number(env, v.min_tiles)},
                         {"maxTiles", number(env, v.max_tiles)},
                         {"useThumbnail", Napi::Boolean::New(env, v.use_thumbnail)},
                         {"dynamicTiles", Napi::Boolean::New(env, v.dynamic_tiles)},
                         {"merge", number(env, v.merge)},
                         {"minPixels", number(env, v.min_pixels)},
                         {"maxPixels", number(env, v.max_pixels)}});
}

Napi::Value to_js(Napi::Env env, const DeviceSummary& d) {
  return object_of(env, {{"kind", Napi::String::New(env, d.kind)},
                         {"name", Napi::String::New(env, d.name)},
                         {"class", Napi::String::New(env, d.result_class)},
                         {"totalBytes", number(env, double(d.total_bytes))},
                         {"why", Napi::String::New(env, d.why)}});
}

Napi::Value to_js(Napi::Env env, const EngineInfo& info) {
  return object_of(env, {{"architecture", Napi::String::New(env, info.architecture)},
                         {"family", Napi::String::New(env, info.family)},
                         {"weights", Napi::String::New(env, weights_name(info.weights))},
                         {"device", to_js(env, info.device)},
                         {"weightBytes", number(env, double(info.weight_bytes))},
                         {"decoder", to_js(env, info.decoder)},
                         {"vision", info.has_vision ? to_js(env, info.vision) : env.Null()}});
}

Napi::Value to_js(Napi::Env env, const ForwardResult& result) {
  return object_of(env, {{"width", number(env, result.width)},
                         {"values", to_js(env, result.values)},
                         {"hidden", to_js(env, result.hidden)},
                         {"numTokens", number(env, double(result.num_tokens))},
                         {"numComputedTokens", number(env, double(result.num_computed_tokens))},
                         {"milliseconds", number(env, result.milliseconds)}});
}

Napi::Value to_js(Napi::Env env, const VisionResult& result) {
  return object_of(env, {{"pixels", to_js(env, result.pixels)},
                         {"embeds", to_js(env, result.embeds)},
                         {"deepstack", to_js(env, result.deepstack)},
                         {"hidden", to_js(env, result.hidden)},
                         {"numStates", number(env, result.num_states)}});
}

}  // namespace mmprm::addon
