// InternVL chat models as published with their own code (InternVLChatModel): InternViT, pixel shuffle, a
// projector "mlp1" and a decoder whose config lies in "llm_config".
#include "models/family.h"
#include "models/vision_config.h"

namespace mmprm {
namespace {

DecoderNames decoder_names(const DecoderFamily& family) {
  return {"language_model.model.", std::string("language_model.") + family.head};
}

VisionSpec parse_vision(const ConfigReader& top) {
  const ConfigReader config = top.child("vision_config");
  VisionSpec vision = parse_vision_extents(config);
  vision.tower_image_size = config.integer("image_size", 1, 1 << 14);
  vision.image_size = top.integer_or("force_image_size", vision.tower_image_size, 1, 1 << 14);
  vision.patch_size = config.integer("patch_size", 1, 1 << 10);
  vision.qkv_bias = config.flag("qkv_bias");
  vision.qk_norm = config.flag("qk_normalization");
  vision.qk_norm_eps = vision.eps;

  // Absent in checkpoints older than these keys, whose code did what is stated here.
  vision.select_layer = top.integer_or("select_layer", -1, -1024, 1024);
  const std::string shuffle = top.text_or("ps_version", "v1");
  if (shuffle != "v1" && shuffle != "v2")
    top.unsupported("ps_version", "is \"" + shuffle + "\"; v1 and v2 are supported");
  vision.shuffle = shuffle == "v1" ? PixelShuffle::kV1 : PixelShuffle::kV2;
  vision.dynamic_tiles = top.flag_or("dynamic_image_size", false);
  vision.use_thumbnail = top.flag_or("use_thumbnail", false);
  if (vision.dynamic_tiles) {
    vision.min_tiles = top.integer_or("min_dynamic_patch", 1, 1, 1024);
    vision.max_tiles = top.integer("max_dynamic_patch", vision.min_tiles, 1024);
  } else if (top.flag_or("pad2square", false)) {
    top.unsupported("pad2square", "is true without dynamic_image_size: padded images are not supported");
  }
  finish_vision(top, "select_layer", vision);
  return vision;
}

ModelSpec parse(const Checkpoint&, const ConfigReader& config, const TensorLookup& tensors) {
  const ConfigReader decoder_config = config.child("llm_config");
  const DecoderFamily& family = find_decoder_family(decoder_config);
  ModelSpec spec;
  spec.family = family.name;
  spec.decoder = family.parse(decoder_config);
  settle_head(tensors, decoder_names(family), family, decoder_config.try_flag("tie_word_embeddings"),
              config.flag_or("tie_word_embeddings", false), spec.decoder);
  spec.vision = parse_vision(config);
  spec.system_message = config.text_or("system_message", "");
  spec.template_name = config.text_or("template", "");
  return spec;
}

VisionLayerWeights vision_layer(TensorLookup& tensors, const std::string& layer, const VisionSpec& vision) {
  const int C = vision.hidden_C, F = vision.intermediate_F;
  VisionLayerWeights w;
  w.norm1.eps = w.norm2.eps = vision.eps;
  w.q_norm.eps = w.k_norm.eps = vision.qk_norm_eps;
  w.norm1.weight = tensors.vector(layer + "norm1.weight", C);
  w.norm2.weight = tensors.vector(layer + "norm2.weight", C);
  if (vision.norm == NormKind::kLayer) {
    w.norm1.bias = tensors.vector(layer + "norm1.bias", C);
    w.norm2.bias = tensors.vector(layer + "norm2.bias", C);
  }
  w.qkv.weight = tensors.matrix(layer + "attn.qkv.weight", 3 * C, C);
  if (vision.qkv_bias) w.qkv.bias = tensors.vector(layer + "attn.qkv.bias", 3 * C);
  if (vision.qk_norm) {
    w.q_norm.weight = tensors.vector(layer + "attn.q_norm.weight", C);
    w.k_norm.weight = tensors.vector(layer + "attn.k_norm.weight", C);
  }
  w.proj.weight = tensors.matrix(layer + "attn.proj.weight", C, C);
  w.proj.bias = tensors.vector(layer + "attn.proj.bias", C);
  w.scale1 = tensors.vector(layer + "ls1", C);
  w.scale2 = tensors.vector(layer + "ls2", C);
  w.fc1.weight = tensors.matrix(layer + "mlp.fc1.weight", F, C);
  w.fc1.bias = tensors.vector(layer + "mlp.fc1.bias", F);
  w.fc2.weight = tensors.matrix(layer + "mlp.fc2.weight", C, F);
  w.fc2.bias = tensors.vector(layer + "mlp.fc2.bias", C);
  return w;
}

WeightTable weights(TensorLookup& tensors, const ModelSpec& spec) {
  const VisionSpec& vision = *spec.vision;
  const DecoderFamily& family = decoder_family(spec.family);
  WeightTable table;
  table.decoder = decoder_weights(tensors, decoder_names(family), family, spec.decoder);
  table.vision = vision_frame(tensors, vision, spec.decoder.hidden_C,
                              {.patch = "vision_model.embeddings.patch_embedding",
                               .class_embedding = "vision_model.embeddings.class_embedding",
                               .positions = "vision_model.embeddings.position_embedding",
                               .projector_norm = "mlp1.0",
                               .projector_fc1 = "mlp1.1",
                               .projector_fc2 = "mlp1.3"});
  for (int l = 0; l < vision.layers_L; ++l) {
    const std::string layer = "vision_model.encoder.layers." + std::to_string(l) + ".";
    table.vision.layers.push_back(vision_layer(tensors, layer, vision));
  }
  return table;
}

}  // namespace

const ModelFamily kInternVLChat = {"InternVLChatModel", "internvl_chat", parse, weights};

}  // namespace mmprm
