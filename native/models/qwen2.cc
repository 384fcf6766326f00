// Qwen2 and Qwen2.5: Llama's graph with biases on query, key and value.
#include <algorithm>

#include "models/family.h"

namespace mmprm {

namespace {

constexpr int kMaxWindowLayers = 28;  // of the published class, where the config leaves it out

std::vector<bool> layers_of_types(const ConfigReader& config, const Json& types, int num_layers) {
  if (!types.is_array())
    config.invalid("layer_types", std::string("must be an array, not ") + types.kind_name());
  if (types.items().size() != size_t(num_layers)) {
    config.invalid("layer_types", "names " + std::to_string(types.items().size()) + " layers; there are " +
                                      std::to_string(num_layers));
  }
  std::vector<bool> slides;
  for (const Json& type : types.items()) {
    const std::string name = type.is_string() ? type.as_string() : type.kind_name();
    slides.push_back(name == "sliding_attention");
    if (name != "sliding_attention" && name != "full_attention") {
      config.unsupported("layer_types",
                         "holds \"" + name + "\"; full_attention and sliding_attention are supported");
    }
  }
  return slides;
}

}  // namespace

void parse_qwen_window(const ConfigReader& config, DecoderSpec& spec) {
  const bool windowed = config.flag_or("use_sliding_window", false) && config.has("sliding_window");
  std::vector<bool> slides(spec.layers_L);
  if (const Json* types = config.find("layer_types")) {
    slides = layers_of_types(config, *types, spec.layers_L);
  } else if (windowed) {
    const int full = config.integer_or("max_window_layers", kMaxWindowLayers, 0, 1 << 20);
    for (int l = full; l < spec.layers_L; ++l) slides[l] = true;
  }
  if (std::find(slides.begin(), slides.end(), true) == slides.end()) return;
  if (!windowed)
    config.invalid("layer_types",
                   "names sliding layers, but use_sliding_window and sliding_window give no window");
  spec.sliding_window = config.integer("sliding_window", 1, 1 << 30);
  spec.slides_L = std::move(slides);
}

namespace {

DecoderSpec parse_qwen2(const ConfigReader& config) {
  DecoderSpec spec = parse_decoder_extents(config, 0);
  spec.qkv_bias = true;  // no key for it: part of the architecture
  parse_qwen_window(config, spec);
  return spec;
}

}  // namespace

const DecoderFamily kQwen2 = {"qwen2",          "Qwen2ForCausalLM", "qwen2",     "embed_tokens.weight",
                              "lm_head.weight", parse_qwen2,        llama_layers};

}  // namespace mmprm
