// Qwen2.5-VL and Qwen3-VL: a tower of patches (patch_vision.h) before Qwen2 or Qwen3 whose angles are taken of time, row
// and column. The decoder's config lies in "text_config", or at the top as Qwen2.5-VL was published; the tensors' names
// are looked at, since either config comes with either names.
#include <algorithm>

#include "device/pages.h"
#include "models/family.h"
#include "models/vision_config.h"

namespace mmprm {
namespace {

constexpr double kAxialTheta = 10000;  // of the towers' class where no "rope_parameters" says it
constexpr float kTowerEps = 1e-6f;     // of the towers' class

constexpr int kMaxDepth = 1024;  // of a tower

enum class Version { k25, k3 };

DecoderNames decoder_names(const TensorLookup& tensors, const DecoderFamily& family) {
  return {tensors.pick_prefix({"model.language_model.", "model.", "language_model.model."}, family.embed),
          tensors.pick_prefix({"", "language_model."}, family.head) + family.head};
}

std::string vision_prefix(const TensorLookup& tensors) {
  return tensors.pick_prefix({"visual.", "model.visual."}, "patch_embed.proj.weight");
}

// Reads which frequencies turn by time, row and column.
void parse_sections(const ConfigReader& config, Version version, DecoderSpec& spec) {
  const char* key = config.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  const ConfigReader rope = config.child(key);
  const Json* sections = rope.find("mrope_section");
  const char* three = "must be three numbers: frequencies of time, row and column";
  if (!sections || !sections->is_array() || sections->items().size() != 3)
    rope.invalid("mrope_section", three);
  int sum = 0;
  for (int axis = 0; axis < 3; ++axis) {
    const Json& size = sections->items()[axis];
    if (!size.is_integer() || size.as_integer() < 0 || size.as_integer() > spec.head_dim_D)
      rope.invalid("mrope_section", three);
    sum += spec.rope.sections[axis] = static_cast<int>(size.as_integer());
  }
  if (const int half = spec.head_dim_D / 2; sum != half) {
    rope.invalid("mrope_section", "adds up to " + std::to_string(sum) + "; heads of " +
                                      std::to_string(2 * half) + " have " + std::to_string(half) +
                                      " frequencies");
  }
  spec.rope.interleaved = version == Version::k3;
  if (version == Version::k25 && rope.flag_or("mrope_interleaved", false))
    rope.unsupported("mrope_interleaved", "is true, which Qwen2.5-VL's graph does not know");
}

std::vector<int> layer_list(const ConfigReader& config, const std::string& key, int num_layers) {
  const Json* list = config.find(key);
  if (!list || !list->is_array()) config.invalid(key, "must be a list of layers");
  std::vector<int> out;
  for (const Json& item : list->items()) {
    if (!item.is_integer() || item.as_integer() < 0 || item.as_integer() >= num_layers)
      config.invalid(key, "must hold layers from 0 to " + std::to_string(num_layers - 1));
    out.push_back(static_cast<int>(item.as_integer()));
  }
  return out;
}

void check_activation(const ConfigReader& config, const char* wanted) {
  if (const std::string act = config.text("hidden_act"); act != wanted)
    config.unsupported("hidden_act", "is \"" + act + "\"; " + wanted + " is supported");
}

void parse_version_25(const ConfigReader& config, VisionSpec& vision) {
  check_activation(config, "silu");
  vision.norm = NormKind::kRms;
  vision.gated_mlp = true;
  const int pixels = config.integer("window_size", 1, 1 << 14);
  vision.window = pixels / vision.merge / vision.patch_size;
  if (vision.window < 1)
    config.invalid("window_size", "is " + std::to_string(pixels) + ", less than a merge block of pixels");
  // Small models keep the list of the large ones.
  vision.whole_layers = layer_list(config, "fullatt_block_indexes", kMaxDepth);
}

// Features go to the language model's layers as the tower gives them, in whatever order their layers are named; the
// mergers are stored in that order.
void parse_deepstack(const ConfigReader& config, int text_layers, VisionSpec& vision) {
  const char* key = "deepstack_visual_indexes";
  const std::vector<int> named = layer_list(config, key, vision.layers_L);
  if (static_cast<int>(named.size()) > text_layers)
    config.invalid(key, "names more layers than the language model has");
  for (int l = 0; l < vision.layers_L; ++l) {
    const auto at = std::find(named.begin(), named.end(), l);
    if (at == named.end()) continue;
    if (std::find(at + 1, named.end(), l) != named.end())
      config.invalid(key, "names layer " + std::to_string(l) + " twice");
    vision.deepstack_layers.push_back(l);
    vision.deepstack_stored.push_back(static_cast<int>(at - named.begin()));
  }
}

void parse_version_3(const ConfigReader& config, int text_layers, VisionSpec& vision) {
  check_activation(config, "gelu_pytorch_tanh");
  const int rows = config.integer("num_position_embeddings", 1, 1 << 20);
  while (vision.table_side * vision.table_side < rows) ++vision.table_side;
  if (vision.table_side * vision.table_side != rows)
    config.invalid("num_position_embeddings", "is " + std::to_string(rows) + ", which is no square");
  parse_deepstack(config, text_layers, vision);
}

VisionSpec parse_vision(const Checkpoint& checkpoint, const ConfigReader& top, Version version,
                        const DecoderSpec& decoder) {
  const ConfigReader config = top.child("vision_config");
  VisionSpec vision;
  vision.kind = VisionKind::kPatches;
  vision.hidden_C = config.integer("hidden_size", 1, 1 << 16);
  vision.intermediate_F = config.integer("intermediate_size", 1, 1 << 20);
  vision.layers_L = config.integer("depth", 1, kMaxDepth);
  vision.heads_H = config.integer("num_heads", 1, 1 << 12);
  if (vision.hidden_C % vision.heads_H != 0)
    config.invalid("hidden_size", "must be a multiple of num_heads, " + std::to_string(vision.heads_H));
  if (const int D = vision.hidden_C / vision.heads_H; D % 4 != 0 || D > kMaxHeadDim) {
    config.unsupported("hidden_size", "gives heads of size " + std::to_string(D) + "; multiples of 4 up to " +
                                          std::to_string(kMaxHeadDim) + " are supported");
  }
  vision.channels = config.integer_or(config.has("in_channels") ? "in_channels" : "in_chans", 3, 1, 1024);
  if (vision.channels != 3) config.unsupported("in_channels", "is not 3: only RGB images are supported");
  vision.patch_size = config.integer("patch_size", 1, 1 << 10);
  vision.merge = config.integer("spatial_merge_size", 1, 64);
  vision.frames = config.integer("temporal_patch_size", 1, 64);
  vision.eps = vision.projector_eps = kTowerEps;
  vision.qkv_bias = true;
  vision.rope_theta = kAxialTheta;
  if (config.has("rope_parameters"))
    vision.rope_theta = config.child("rope_parameters").number("rope_theta", 1, 1e12);
  if (const int width = config.integer("out_hidden_size", 1, 1 << 20); width != decoder.hidden_C) {
    config.invalid("out_hidden_size", "is " + std::to_string(width) + ", but the language model's width is " +
                                          std::to_string(decoder.hidden_C));
  }
  if (version == Version::k25) {
    parse_version_25(config, vision);
  } else {
    parse_version_3(config, decoder.layers_L, vision);
  }
  parse_pixel_budget(checkpoint, vision);
  return vision;
}

ModelSpec parse(const Checkpoint& checkpoint, const ConfigReader& config, const TensorLookup& tensors,
                Version version) {
  const bool nested = config.has("text_config");
  const ConfigReader decoder_config = nested ? config.child("text_config") : config;
  const DecoderFamily& family = version == Version::k25 ? kQwen2 : kQwen3;
  ModelSpec spec;
  spec.family = family.name;
  spec.decoder = family.parse(decoder_config);
  parse_sections(decoder_config, version, spec.decoder);
  settle_head(tensors, decoder_names(tensors, family), family, decoder_config.try_flag("tie_word_embeddings"),
              config.flag_or("tie_word_embeddings", false), spec.decoder);
  spec.vision = parse_vision(checkpoint, config, version, spec.decoder);
  spec.image_token_id = config.integer("image_token_id", 0, spec.decoder.embed_rows - 1);
  return spec;
}

VisionLayerWeights vision_layer(TensorLookup& tensors, const std::string& block, const VisionSpec& vision) {
  const int C = vision.hidden_C, F = vision.intermediate_F;
  VisionLayerWeights w;
  const auto norm = [&](const std::string& name) {
    NormSource out{tensors.vector(name + ".weight", C), {}, vision.eps};
    if (vision.norm == NormKind::kLayer) out.bias = tensors.vector(name + ".bias", C);
    return out;
  };
  w.norm1 = norm(block + "norm1");
  w.norm2 = norm(block + "norm2");
  w.qkv = {tensors.matrix(block + "attn.qkv.weight", 3 * C, C),
           tensors.vector(block + "attn.qkv.bias", 3 * C)};
  w.proj = {tensors.matrix(block + "attn.proj.weight", C, C), tensors.vector(block + "attn.proj.bias", C)};
  const std::string mlp = block + "mlp.";
  if (vision.gated_mlp) {
    w.fc1.gated = true;
    w.fc1.weight = tensors.stacked({{mlp + "gate_proj.weight", F}, {mlp + "up_proj.weight", F}}, C);
    w.fc1.bias = tensors.joined({{mlp + "gate_proj.bias", F}, {mlp + "up_proj.bias", F}});
    w.fc2 = {tensors.matrix(mlp + "down_proj.weight", C, F), tensors.vector(mlp + "down_proj.bias", C)};
  } else {
    w.fc1 = {tensors.matrix(mlp + "linear_fc1.weight", F, C), tensors.vector(mlp + "linear_fc1.bias", F)};
    w.fc2 = {tensors.matrix(mlp + "linear_fc2.weight", C, F), tensors.vector(mlp + "linear_fc2.bias", C)};
  }
  return w;
}

struct MergerNames {
  std::string norm, fc1, fc2;
};

MergerOf<NormSource, LinearSource> merger(TensorLookup& tensors, const VisionSpec& vision, int norm_C,
                                          int decoder_C, const MergerNames& names) {
  const int wide = vision.hidden_C * vision.merge * vision.merge;
  MergerOf<NormSource, LinearSource> m;
  m.norm = {tensors.vector(names.norm + ".weight", norm_C), {}, vision.projector_eps};
  if (vision.norm == NormKind::kLayer) m.norm.bias = tensors.vector(names.norm + ".bias", norm_C);
  m.fc1 = {tensors.matrix(names.fc1 + ".weight", wide, wide), tensors.vector(names.fc1 + ".bias", wide)};
  m.fc2 = {tensors.matrix(names.fc2 + ".weight", decoder_C, wide),
           tensors.vector(names.fc2 + ".bias", decoder_C)};
  return m;
}

VisionWeights vision_weights(TensorLookup& tensors, const VisionSpec& vision, int decoder_C) {
  const int C = vision.hidden_C, P = vision.patch_size;
  const std::string visual = vision_prefix(tensors);
  VisionWeights out;
  const std::string patch = visual + "patch_embed.proj";
  out.patch_embedding.weight.cols = vision.channels * vision.frames * P * P;
  if (const TensorView* view = tensors.want(patch + ".weight", {C, vision.channels, vision.frames, P, P}))
    append_rows(out.patch_embedding.weight, *view, 0, C);
  for (int l = 0; l < vision.layers_L; ++l)
    out.layers.push_back(vision_layer(tensors, visual + "blocks." + std::to_string(l) + ".", vision));
  MergerOf<NormSource, LinearSource> last;
  if (vision.table_side == 0) {
    last = merger(tensors, vision, C, decoder_C,
                  {visual + "merger.ln_q", visual + "merger.mlp.0", visual + "merger.mlp.2"});
  } else {
    out.patch_embedding.bias = tensors.vector(patch + ".bias", C);
    out.position_embedding =
        tensors.matrix(visual + "pos_embed.weight", vision.table_side * vision.table_side, C);
    last = merger(tensors, vision, C, decoder_C,
                  {visual + "merger.norm", visual + "merger.linear_fc1", visual + "merger.linear_fc2"});
    for (int stored : vision.deepstack_stored) {
      const std::string name = visual + "deepstack_merger_list." + std::to_string(stored) + ".";
      out.deepstack.push_back(merger(tensors, vision, C * vision.merge * vision.merge, decoder_C,
                                     {name + "norm", name + "linear_fc1", name + "linear_fc2"}));
    }
  }
  out.projector_norm = last.norm;
  out.projector_fc1 = last.fc1;
  out.projector_fc2 = last.fc2;
  return out;
}

WeightTable weights(TensorLookup& tensors, const ModelSpec& spec) {
  const DecoderFamily& family = decoder_family(spec.family);
  WeightTable table;
  table.decoder = decoder_weights(tensors, decoder_names(tensors, family), family, spec.decoder);
  table.vision = vision_weights(tensors, *spec.vision, spec.decoder.hidden_C);
  return table;
}

// Files of either version may hold the names of older classes.
std::string running_name(const std::string& stored) {
  const std::string backbone = "model.language_model.";
  if (stored.starts_with(backbone)) return stored;
  for (const std::string older : {"language_model.model.", "model."}) {
    if (stored.starts_with(older)) return backbone + stored.substr(older.size());
  }
  const std::string wrapper = "language_model.";  // around the head
  return stored.starts_with(wrapper) ? stored.substr(wrapper.size()) : stored;
}

ModelSpec parse_25(const Checkpoint& checkpoint, const ConfigReader& config, const TensorLookup& tensors) {
  return parse(checkpoint, config, tensors, Version::k25);
}

ModelSpec parse_3(const Checkpoint& checkpoint, const ConfigReader& config, const TensorLookup& tensors) {
  return parse(checkpoint, config, tensors, Version::k3);
}

}  // namespace

const ModelFamily kQwen25VL = {"Qwen2_5_VLForConditionalGeneration", "qwen2_5_vl", parse_25, weights,
                               running_name};
const ModelFamily kQwen3VL = {"Qwen3VLForConditionalGeneration", "qwen3_vl", parse_3, weights, running_name};

}  // namespace mmprm
