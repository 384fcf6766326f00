// InternLM2: query, key and value rows are stored together, in groups of one key/value head:
// [queries of the group | key | value], each `head_dim` rows (modeling_internlm2.py, "b q (h gs d)").
#include "models/family.h"

namespace mmprm {
namespace {

DecoderSpec parse_internlm2(const ConfigReader& config) {
  DecoderSpec spec = parse_decoder_extents(config, 0);
  spec.qkv_bias = spec.o_bias = config.flag("bias");  // the feed-forward part never has biases
  return spec;
}

// Calls `append(first_row, num_rows)` so that the rows come out as all queries | all keys | all values.
template <typename Append>
void in_canonical_order(const DecoderSpec& spec, Append append) {
  const int D = spec.head_dim_D, queries = spec.heads_H / spec.kv_heads_G * D, group = queries + 2 * D;
  for (int g = 0; g < spec.kv_heads_G; ++g) append(int64_t{g} * group, queries);
  for (int g = 0; g < spec.kv_heads_G; ++g) append(int64_t{g} * group + queries, D);
  for (int g = 0; g < spec.kv_heads_G; ++g) append(int64_t{g} * group + queries + D, D);
}

void internlm2_layers(TensorLookup& tensors, const std::string& backbone, const DecoderSpec& spec,
                      DecoderWeights& out) {
  const int C = spec.hidden_C, F = spec.intermediate_F;
  const int q_rows = spec.heads_H * spec.head_dim_D,
            qkv_rows = q_rows + 2 * spec.kv_heads_G * spec.head_dim_D;
  for (int l = 0; l < spec.layers_L; ++l) {
    const std::string layer = backbone + "layers." + std::to_string(l) + ".";
    const std::string attention = layer + "attention.", ffn = layer + "feed_forward.";
    DecoderLayerWeights w;
    w.attention_norm = {tensors.vector(layer + "attention_norm.weight", C), {}, spec.rms_eps};
    w.ffn_norm = {tensors.vector(layer + "ffn_norm.weight", C), {}, spec.rms_eps};
    w.qkv.weight.cols = C;
    if (const TensorView* wqkv = tensors.want(attention + "wqkv.weight", {qkv_rows, C})) {
      in_canonical_order(spec,
                         [&](int64_t first, int count) { append_rows(w.qkv.weight, *wqkv, first, count); });
    }
    w.o.weight = tensors.matrix(attention + "wo.weight", C, q_rows);
    if (spec.qkv_bias) {
      if (const TensorView* bias = tensors.want(attention + "wqkv.bias", {qkv_rows})) {
        in_canonical_order(
            spec, [&](int64_t first, int count) { append_elements(w.qkv.bias, *bias, first, count); });
      }
    }
    if (spec.o_bias) w.o.bias = tensors.vector(attention + "wo.bias", C);
    w.gate_up = {tensors.stacked({{ffn + "w1.weight", F}, {ffn + "w3.weight", F}}, C), {}, true};
    w.down.weight = tensors.matrix(ffn + "w2.weight", C, F);
    out.layers.push_back(std::move(w));
  }
  out.final_norm = {tensors.vector(backbone + "norm.weight", C), {}, spec.rms_eps};
}

}  // namespace

const DecoderFamily kInternLM2 = {
    "internlm2",     "InternLM2ForCausalLM", "internlm2",     "tok_embeddings.weight",
    "output.weight", parse_internlm2,        internlm2_layers};

}  // namespace mmprm
