// A decoder on its own, with its vocabulary head or with the two-layer reward head of Qwen2.5-Math-PRM.
#include "models/family.h"

namespace mmprm {
namespace {

// Checkpoints of a bare backbone lack the leading "model.".
DecoderNames names_of(const TensorLookup& tensors, const DecoderFamily& family) {
  return {tensors.pick_prefix({"model.", ""}, family.embed), family.head};
}

const DecoderFamily& family_of(const ConfigReader& config, const std::string& architecture) {
  return architecture == "Qwen2ForProcessRewardModel" ? kQwen2 : find_decoder_family(config);
}

}  // namespace

ModelSpec parse_text_model(const Checkpoint&, const ConfigReader& config, const TensorLookup& tensors) {
  const Json* list = config.find("architectures");
  const std::string architecture = list && !list->items().empty() ? list->items()[0].as_string() : "";
  const bool reward_model = architecture == "Qwen2ForProcessRewardModel";
  const DecoderFamily& family = family_of(config, architecture);
  ModelSpec spec;
  spec.family = family.name;
  spec.decoder = family.parse(config);
  const TensorView* classes = tensors.find("score.2.weight");
  if (reward_model || classes) {
    spec.decoder.reward_head = RewardHead::kTwoLayer;
    // The published class fixes two classes; the config says nothing, so the weights are asked first.
    spec.decoder.num_classes = classes && classes->shape.size() == 2 && classes->shape[0] < 1024
                                   ? static_cast<int>(classes->shape[0])
                                   : 2;
    spec.decoder.vocab_V = 0;
  } else {
    settle_head(tensors, names_of(tensors, family), family, config.try_flag("tie_word_embeddings"),
                std::nullopt, spec.decoder);
  }
  return spec;
}

WeightTable text_model_weights(TensorLookup& tensors, const ModelSpec& spec) {
  const DecoderFamily& family = decoder_family(spec.family);
  WeightTable table;
  table.decoder = decoder_weights(tensors, names_of(tensors, family), family, spec.decoder);
  return table;
}

}  // namespace mmprm
