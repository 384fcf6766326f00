// InternVL in the layout of transformers itself (InternVLForConditionalGeneration), with and without the
// leading "model." of its tensor names. Tiling is in the image processor's settings.
#include "models/family.h"
#include "models/vision_config.h"

namespace mmprm {
namespace {

// WHY: transformers writes NESTED configs as differences to their class, so here, and only here,
// an absent key does mean the class default. These are the defaults of the published classes;
// the tensors check the extents.
const Json& class_defaults(const std::string& model_type) {
  static const Json all = Json::parse(R"({
    "internvl_vision": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
      "attention_bias": false, "use_qk_norm": false, "intermediate_size": 4096, "hidden_act": "gelu",
      "norm_type": "layer_norm", "layer_norm_eps": 1e-6, "image_size": [448, 448], "patch_size": [14, 14],
      "num_channels": 3, "use_absolute_position_embeddings": true, "use_mean_pooling": true},
    "qwen2": {"vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32,
      "num_attention_heads": 32, "num_key_value_heads": 32, "hidden_act": "silu", "max_position_embeddings": 32768,
      "rms_norm_eps": 1e-6, "rope_theta": 10000, "use_sliding_window": false, "sliding_window": 4096,
      "max_window_layers": 28},
    "qwen3": {"vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32,
      "num_attention_heads": 32, "num_key_value_heads": 32, "head_dim": 128, "hidden_act": "silu",
      "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "rope_theta": 10000, "attention_bias": false,
      "use_sliding_window": false, "sliding_window": 4096, "max_window_layers": 28},
    "llama": {"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
      "num_attention_heads": 32, "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-6,
      "rope_theta": 10000},
    "mistral": {"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
      "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 131072,
      "rms_norm_eps": 1e-6, "rope_theta": 10000, "sliding_window": 4096}
  })",
                                      "class defaults");
  static const Json none;
  const Json* found = all.find(model_type);
  return found ? *found : none;
}

ConfigReader nested(const ConfigReader& config, const std::string& key) {
  return config.child(key, &class_defaults(config.child(key).text_or("model_type", "")));
}

std::string vision_prefix(const TensorLookup& tensors) {
  return tensors.pick_prefix({"model.", ""}, "vision_tower.embeddings.cls_token");
}

DecoderNames decoder_names(const TensorLookup& tensors, const DecoderFamily& family) {
  const std::string old_prefix = "language_model.";
  if (tensors.has(old_prefix + "model." + family.embed))
    return {old_prefix + "model.", old_prefix + family.head};
  return {tensors.pick_prefix({"model.language_model.", "language_model."}, family.embed), family.head};
}

// A whole number or a square [n, n].
int square_size(const ConfigReader& config, const std::string& key, int max) {
  const Json* value = config.find(key);
  if (!value || !value->is_array()) return config.integer(key, 1, max);
  const std::vector<Json>& sides = value->items();
  if (sides.size() != 2 || !sides[0].is_integer() || !sides[1].is_integer())
    config.invalid(key, "must be two integers");
  if (sides[0].as_integer() != sides[1].as_integer()) config.unsupported(key, "is not square");
  if (sides[0].as_integer() < 1 || sides[0].as_integer() > max) {
    config.invalid(key, "must lie between 1 and " + std::to_string(max));
  }
  return static_cast<int>(sides[0].as_integer());
}

// Pixels a side of a tile: a whole number or { height, width }.
int tile_size(const ConfigReader& processor, int fallback) {
  const Json* size = processor.find("size");
  if (!size) return fallback;
  if (!size->is_object()) return processor.integer("size", 1, 1 << 14);
  const ConfigReader sides = processor.child("size");
  if (!sides.has("height") || !sides.has("width"))
    processor.unsupported("size", "must be { height, width }: tiles of one size");
  const int height = sides.integer("height", 1, 1 << 14);
  if (sides.integer("width", 1, 1 << 14) != height) processor.unsupported("size", "is not square");
  return height;
}

// The processor of this family always cuts tiles and adds a thumbnail, whatever crop_to_patches says; without
// a file of its own it cuts 1 to 12 tiles of the vision tower's own size.
void parse_tiling(const Checkpoint& checkpoint, VisionSpec& vision) {
  vision.dynamic_tiles = vision.use_thumbnail = true;
  vision.max_tiles = 12;
  vision.image_size = vision.tower_image_size;
  const Checkpoint::Preprocessor& file = checkpoint.preprocessor();
  if (file.settings.is_null()) return;
  const ConfigReader processor(file.settings, file.path, file.prefix);
  check_picture_settings(processor);
  vision.image_size = tile_size(processor, vision.tower_image_size);
  vision.min_tiles = processor.integer_or("min_patches", 1, 1, 1024);
  vision.max_tiles = processor.integer_or("max_patches", 12, vision.min_tiles, 1024);
}

VisionSpec parse_vision(const Checkpoint& checkpoint, const ConfigReader& top) {
  const ConfigReader config = nested(top, "vision_config");
  VisionSpec vision = parse_vision_extents(config);
  vision.tower_image_size = square_size(config, "image_size", 1 << 14);
  vision.patch_size = square_size(config, "patch_size", 1 << 10);
  vision.qkv_bias = config.flag("attention_bias");
  vision.qk_norm = config.flag("use_qk_norm");
  vision.qk_norm_eps = 1e-6f;  // fixed in the class, whatever layer_norm_eps says
  if (!config.flag_or("use_absolute_position_embeddings", true)) {
    config.unsupported("use_absolute_position_embeddings", "is false; position embeddings are required");
  }
  if (!config.flag_or("use_mean_pooling", true)) {
    config.unsupported("use_mean_pooling", "is false: a norm behind the last vision layer is not supported");
  }
  if (top.text_or("projector_hidden_act", "gelu") != "gelu") {
    top.unsupported("projector_hidden_act",
                    "is \"" + top.text("projector_hidden_act") + "\"; gelu is supported");
  }
  if (top.text_or("vision_feature_select_strategy", "default") != "default") {
    top.unsupported("vision_feature_select_strategy", "must be \"default\": rows without the class token");
  }
  if (const Json* layer = top.find("vision_feature_layer"); layer && layer->is_array()) {
    top.unsupported("vision_feature_layer", "is a list; one layer is supported");
  }
  vision.select_layer = top.integer_or("vision_feature_layer", -1, -1024, 1024);
  vision.shuffle = PixelShuffle::kV2;
  parse_tiling(checkpoint, vision);
  finish_vision(top, "vision_feature_layer", vision);
  return vision;
}

ModelSpec parse(const Checkpoint& checkpoint, const ConfigReader& config, const TensorLookup& tensors) {
  const ConfigReader decoder_config = nested(config, "text_config");
  const DecoderFamily& family = find_decoder_family(decoder_config);
  ModelSpec spec;
  spec.family = family.name;
  spec.decoder = family.parse(decoder_config);
  settle_head(tensors, decoder_names(tensors, family), family, decoder_config.try_flag("tie_word_embeddings"),
              config.flag_or("tie_word_embeddings", true), spec.decoder);
  spec.vision = parse_vision(checkpoint, config);
  const std::string token_key = config.has("image_token_id") ? "image_token_id" : "image_token_index";
  spec.image_token_id = config.integer_or(token_key, -1, 0, spec.decoder.embed_rows - 1);
  return spec;
}

VisionLayerWeights vision_layer(TensorLookup& tensors, const std::string& layer, const VisionSpec& vision) {
  const int C = vision.hidden_C, F = vision.intermediate_F;
  const std::string attention = layer + "attention.";
  VisionLayerWeights w;
  w.norm1.eps = w.norm2.eps = vision.eps;
  w.q_norm.eps = w.k_norm.eps = vision.qk_norm_eps;
  w.norm1.weight = tensors.vector(layer + "layernorm_before.weight", C);
  w.norm2.weight = tensors.vector(layer + "layernorm_after.weight", C);
  if (vision.norm == NormKind::kLayer) {
    w.norm1.bias = tensors.vector(layer + "layernorm_before.bias", C);
    w.norm2.bias = tensors.vector(layer + "layernorm_after.bias", C);
  }
  w.qkv.weight = tensors.stacked(
      {{attention + "q_proj.weight", C}, {attention + "k_proj.weight", C}, {attention + "v_proj.weight", C}},
      C);
  if (vision.qkv_bias) {
    w.qkv.bias = tensors.joined(
        {{attention + "q_proj.bias", C}, {attention + "k_proj.bias", C}, {attention + "v_proj.bias", C}});
  }
  if (vision.qk_norm) {
    w.q_norm.weight = tensors.vector(attention + "q_norm.weight", C);
    w.k_norm.weight = tensors.vector(attention + "k_norm.weight", C);
  }
  w.proj.weight = tensors.matrix(attention + "projection_layer.weight", C, C);
  w.proj.bias = tensors.vector(attention + "projection_layer.bias", C);
  w.scale1 = tensors.vector(layer + "lambda_1", C);
  w.scale2 = tensors.vector(layer + "lambda_2", C);
  w.fc1.weight = tensors.matrix(layer + "mlp.fc1.weight", F, C);
  w.fc1.bias = tensors.vector(layer + "mlp.fc1.bias", F);
  w.fc2.weight = tensors.matrix(layer + "mlp.fc2.weight", C, F);
  w.fc2.bias = tensors.vector(layer + "mlp.fc2.bias", C);
  return w;
}

WeightTable weights(TensorLookup& tensors, const ModelSpec& spec) {
  const VisionSpec& vision = *spec.vision;
  const DecoderFamily& family = decoder_family(spec.family);
  const std::string prefix = vision_prefix(tensors), tower = prefix + "vision_tower.";
  const std::string projector = prefix + "multi_modal_projector.";
  WeightTable table;
  table.decoder = decoder_weights(tensors, decoder_names(tensors, family), family, spec.decoder);
  table.vision = vision_frame(tensors, vision, spec.decoder.hidden_C,
                              {.patch = tower + "embeddings.patch_embeddings.projection",
                               .class_embedding = tower + "embeddings.cls_token",
                               .positions = tower + "embeddings.position_embeddings",
                               .projector_norm = projector + "layer_norm",
                               .projector_fc1 = projector + "linear_1",
                               .projector_fc2 = projector + "linear_2"});
  const std::string layers =
      tensors.pick_prefix({tower + "encoder.layer.", tower + "encoder.layers."}, "0.lambda_1");
  for (int l = 0; l < vision.layers_L; ++l) {
    table.vision.layers.push_back(vision_layer(tensors, layers + std::to_string(l) + ".", vision));
  }
  return table;
}

}  // namespace

const ModelFamily kInternVLNative = {"InternVLForConditionalGeneration", "internvl", parse, weights};

}  // namespace mmprm
