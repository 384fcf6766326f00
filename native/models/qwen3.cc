// Qwen3: Llama's graph with an RMS norm of every query and key head before it rotates, and heads of a size of their own.
#include "models/family.h"

namespace mmprm {
namespace {

DecoderSpec parse_qwen3(const ConfigReader& config) {
  // The published class has heads of 128 whatever the width; a config that leaves head_dim out means that.
  DecoderSpec spec = parse_decoder_extents(config, 0, 128);
  spec.qkv_bias = spec.o_bias = config.flag_or("attention_bias", false);
  spec.qk_norm = true;
  parse_qwen_window(config, spec);
  return spec;
}

}  // namespace

const DecoderFamily kQwen3 = {"qwen3",          "Qwen3ForCausalLM", "qwen3",     "embed_tokens.weight",
                              "lm_head.weight", parse_qwen3,        llama_layers};

}  // namespace mmprm
