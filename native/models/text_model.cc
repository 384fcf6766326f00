// A decoder on its own, with its vocabulary head or with a reward head.
#include "models/family.h"

namespace mmprm {
namespace {

// Checkpoints of a bare backbone lack the leading "model.".
DecoderNames names_of(const TensorLookup& tensors, const DecoderFamily& family) {
  return {tensors.pick_prefix({"model.", ""}, family.embed), family.head};
}

// A value head, or one of transformers' classification heads, in place of the vocabulary's.
bool is_linear_reward(const std::string& architecture) {
  return architecture == "Qwen2ForPrmModel" || architecture.ends_with("ForTokenClassification") ||
         architecture.ends_with("ForSequenceClassification");
}

// A classifier that an adapter brought to a language model.
bool has_added_head(const TensorLookup& tensors) {
  const TensorView* head = tensors.find(linear_head_of(tensors) + ".weight");
  return head && head->is_added;
}

// The config says nothing or something else (id2label), so the weights are asked first.
int classes_of(const TensorLookup& tensors, const std::string& weight, int otherwise) {
  const TensorView* view = tensors.find(weight);
  return view && view->shape.size() == 2 && view->shape[0] < 1024 ? static_cast<int>(view->shape[0])
                                                                  : otherwise;
}

constexpr const char* kEnsemble = "Qwen2ForEnsemblePRM";
constexpr int kMaxEnsemble = 1024;

const DecoderFamily& family_of(const ConfigReader& config, const std::string& architecture) {
  if (architecture == "Qwen2ForProcessRewardModel" || architecture == kEnsemble) return kQwen2;
  return is_linear_reward(architecture) ? find_decoder_by_type(config) : find_decoder_family(config);
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
  if (reward_model || tensors.has("score.2.weight")) {
    spec.decoder.reward_head = RewardHead::kTwoLayer;
    spec.decoder.num_classes = classes_of(tensors, "score.2.weight", 2);  // two in the published class
    spec.decoder.vocab_V = 0;
  } else if (is_linear_reward(architecture) || has_added_head(tensors)) {
    spec.decoder.reward_head = RewardHead::kLinear;
    spec.decoder.num_classes = classes_of(tensors, linear_head_of(tensors) + ".weight", 1);
    spec.decoder.vocab_V = 0;
  } else if (architecture == kEnsemble) {
    spec.decoder.reward_head = RewardHead::kEnsemble;
    spec.decoder.num_classes = config.integer_or("num_ensemble", ensemble_heads(tensors, 8), 1,
                                                 kMaxEnsemble);  // 8 in the published class
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
