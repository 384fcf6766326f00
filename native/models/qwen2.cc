// Qwen2 and Qwen2.5: Llama's graph with biases on query, key and value.
#include <algorithm>

#include "models/family.h"

namespace mmprm {

int parse_qwen_window(const ConfigReader& config, int num_layers) {
  if (!config.flag_or("use_sliding_window", false) || !config.has("sliding_window")) return 0;
  int sliding = 0;
  if (const Json* types = config.find("layer_types")) {
    if (!types->is_array())
      config.invalid("layer_types", std::string("must be an array, not ") + types->kind_name());
    for (const Json& type : types->items())
      sliding += type.is_string() && type.as_string() == "sliding_attention";
  } else {
    sliding = num_layers - std::min(num_layers, config.integer("max_window_layers", 0, 1 << 20));
  }
  // Of some layers or of all: up to that length no layer loses a key.
  if (sliding == 0) return 0;
  return config.integer("sliding_window", 1, 1 << 30);
}

namespace {

DecoderSpec parse_qwen2(const ConfigReader& config) {
  DecoderSpec spec = parse_decoder_extents(config, 0);
  spec.qkv_bias = true;  // no key for it: part of the architecture
  spec.sliding_window = parse_qwen_window(config, spec.layers_L);
  return spec;
}

}  // namespace

const DecoderFamily kQwen2 = {"qwen2",          "Qwen2ForCausalLM", "qwen2",     "embed_tokens.weight",
                              "lm_head.weight", parse_qwen2,        llama_layers};

}  // namespace mmprm
