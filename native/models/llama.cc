// Llama and Mistral, and the tensor names that Qwen2 and Qwen3 share with them.
#include "models/family.h"

namespace mmprm {
namespace {

// Configs of the first Llama and Mistral models lack rope_theta; it was this constant then.
constexpr double kFirstTheta = 10000;

DecoderSpec parse_llama(const ConfigReader& config) {
  DecoderSpec spec = parse_decoder_extents(config, kFirstTheta);
  // Keys that came later than the first models, which have no biases.
  spec.qkv_bias = spec.o_bias = config.flag_or("attention_bias", false);
  spec.mlp_bias = config.flag_or("mlp_bias", false);
  return spec;
}

DecoderSpec parse_mistral(const ConfigReader& config) {
  DecoderSpec spec = parse_decoder_extents(config, kFirstTheta);
  spec.sliding_window = config.integer_or("sliding_window", 0, 1, 1 << 30);
  if (spec.sliding_window > 0) spec.slides_L.assign(spec.layers_L, true);
  return spec;
}

}  // namespace

void llama_layers(TensorLookup& tensors, const std::string& backbone, const DecoderSpec& spec,
                  DecoderWeights& out) {
  const int C = spec.hidden_C, F = spec.intermediate_F;
  const int q_rows = spec.heads_H * spec.head_dim_D, kv_rows = spec.kv_heads_G * spec.head_dim_D;
  for (int l = 0; l < spec.layers_L; ++l) {
    const std::string layer = backbone + "layers." + std::to_string(l) + ".";
    const std::string attention = layer + "self_attn.", mlp = layer + "mlp.";
    DecoderLayerWeights w;
    w.attention_norm = {tensors.vector(layer + "input_layernorm.weight", C), {}, spec.rms_eps};
    w.ffn_norm = {tensors.vector(layer + "post_attention_layernorm.weight", C), {}, spec.rms_eps};
    w.qkv.weight = tensors.stacked({{attention + "q_proj.weight", q_rows},
                                    {attention + "k_proj.weight", kv_rows},
                                    {attention + "v_proj.weight", kv_rows}},
                                   C);
    if (spec.qkv_bias) {
      w.qkv.bias = tensors.joined({{attention + "q_proj.bias", q_rows},
                                   {attention + "k_proj.bias", kv_rows},
                                   {attention + "v_proj.bias", kv_rows}});
    }
    if (spec.qk_norm) {
      w.q_norm = {tensors.vector(attention + "q_norm.weight", spec.head_dim_D), {}, spec.rms_eps};
      w.k_norm = {tensors.vector(attention + "k_norm.weight", spec.head_dim_D), {}, spec.rms_eps};
    }
    w.o.weight = tensors.matrix(attention + "o_proj.weight", C, q_rows);
    if (spec.o_bias) w.o.bias = tensors.vector(attention + "o_proj.bias", C);
    w.gate_up.gated = true;
    w.gate_up.weight = tensors.stacked({{mlp + "gate_proj.weight", F}, {mlp + "up_proj.weight", F}}, C);
    w.down.weight = tensors.matrix(mlp + "down_proj.weight", C, F);
    if (spec.mlp_bias) {
      w.gate_up.bias = tensors.joined({{mlp + "gate_proj.bias", F}, {mlp + "up_proj.bias", F}});
      w.down.bias = tensors.vector(mlp + "down_proj.bias", C);
    }
    out.layers.push_back(std::move(w));
  }
  out.final_norm = {tensors.vector(backbone + "norm.weight", C), {}, spec.rms_eps};
}

const DecoderFamily kLlama = {"llama",          "LlamaForCausalLM", "llama",     "embed_tokens.weight",
                              "lm_head.weight", parse_llama,        llama_layers};
const DecoderFamily kMistral = {"mistral",        "MistralForCausalLM", "mistral",   "embed_tokens.weight",
                                "lm_head.weight", parse_mistral,        llama_layers};

}  // namespace mmprm
