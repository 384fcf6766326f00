#include "models/registry.h"

#include <algorithm>
#include <vector>

#include "models/family.h"

namespace mmprm {
namespace {

const DecoderFamily* const kDecoders[] = {&kInternLM2, &kQwen2, &kQwen3, &kLlama, &kMistral};

// WHY a function: the families' own files are initialised in no certain order.
const std::vector<ModelFamily>& models() {
  static const std::vector<ModelFamily> all = {
      kInternVLChat,
      kInternVLNative,
      {"InternVLRewardModel", "", kInternVLChat.parse, kInternVLChat.weights},
      kQwen25VL,
      kQwen3VL,
      {"InternLM2ForCausalLM", "internlm2", parse_text_model, text_model_weights},
      {"Qwen2ForCausalLM", "qwen2", parse_text_model, text_model_weights},
      {"Qwen3ForCausalLM", "qwen3", parse_text_model, text_model_weights},
      {"Qwen2ForProcessRewardModel", "", parse_text_model, text_model_weights},
      {"Qwen2ForPrmModel", "", parse_text_model, text_model_weights},
      {"Qwen2ForEnsemblePRM", "", parse_text_model, text_model_weights},
      {"Qwen2ForTokenClassification", "", parse_text_model, text_model_weights},
      {"Qwen2ForSequenceClassification", "", parse_text_model, text_model_weights},
      {"Qwen3ForTokenClassification", "", parse_text_model, text_model_weights},
      {"Qwen3ForSequenceClassification", "", parse_text_model, text_model_weights},
      {"LlamaForTokenClassification", "", parse_text_model, text_model_weights},
      {"LlamaForSequenceClassification", "", parse_text_model, text_model_weights},
      {"MistralForTokenClassification", "", parse_text_model, text_model_weights},
      {"MistralForSequenceClassification", "", parse_text_model, text_model_weights},
      {"LlamaForCausalLM", "llama", parse_text_model, text_model_weights},
      {"MistralForCausalLM", "mistral", parse_text_model, text_model_weights},
  };
  return all;
}

// The first of "architectures", or nothing.
std::string architecture_of(const ConfigReader& config) {
  const Json* list = config.find("architectures");
  if (!list) return "";
  if (!list->is_array())
    config.invalid("architectures", std::string("must be an array, not ") + list->kind_name());
  if (list->items().empty()) return "";
  if (!list->items()[0].is_string()) config.invalid("architectures", "must hold strings");
  return list->items()[0].as_string();
}

// By architecture, or by model_type in configs that leave the architecture out.
template <typename Entries, typename Deref>
const auto& find_by_config(const ConfigReader& config, const Entries& entries, Deref deref) {
  const std::string architecture = architecture_of(config), type = config.text_or("model_type", "");
  std::string supported;
  for (const auto& entry : entries) {
    if (architecture.empty() ? !type.empty() && type == deref(entry).model_type
                             : architecture == deref(entry).architecture) {
      return entry;
    }
    supported += (supported.empty() ? "" : ", ") + std::string(deref(entry).architecture);
  }
  if (architecture.empty() && type.empty())
    config.invalid("architectures", "is missing; supported: " + supported);
  const bool by_type = architecture.empty();
  config.unsupported(by_type ? "model_type" : "architectures",
                     "is \"" + (by_type ? type : architecture) + "\"; supported: " + supported);
}

ConfigReader config_of(const Checkpoint& checkpoint) {
  return ConfigReader(checkpoint.config(), checkpoint.folder() + "/config.json");
}

const ModelFamily& model_family(const ConfigReader& config) {
  return find_by_config(config, models(),
                        [](const ModelFamily& family) -> const ModelFamily& { return family; });
}

// A window that all positions fit into leaves out no key.
void drop_wide_window(DecoderSpec& decoder) {
  if (decoder.sliding_window < decoder.max_positions) return;
  decoder.sliding_window = 0;
  decoder.slides_L.clear();
}

}  // namespace

const DecoderFamily& find_decoder_family(const ConfigReader& config) {
  return *find_by_config(config, kDecoders, [](const DecoderFamily* family) { return *family; });
}

const DecoderFamily& find_decoder_by_type(const ConfigReader& config) {
  const std::string type = config.text("model_type");
  std::string supported;
  for (const DecoderFamily* family : kDecoders) {
    if (type == family->model_type) return *family;
    supported += (supported.empty() ? "" : ", ") + std::string(family->model_type);
  }
  config.unsupported("model_type", "is \"" + type + "\"; supported: " + supported);
}

const DecoderFamily& decoder_family(const std::string& name) {
  for (const DecoderFamily* family : kDecoders) {
    if (name == family->name) return *family;
  }
  throw Error(ErrorCode::kInternal, "no decoder family is called " + name);
}

ModelSpec parse_model_spec(const Checkpoint& checkpoint) {
  const ConfigReader config = config_of(checkpoint);
  const ModelFamily& family = model_family(config);
  ModelSpec spec = family.parse(checkpoint, config, TensorLookup(checkpoint));
  spec.architecture = family.architecture;
  drop_wide_window(spec.decoder);
  if (const int rows = int(checkpoint.adapter_vocab())) {
    spec.decoder.embed_rows = rows;
    if (spec.decoder.vocab_V > 0) spec.decoder.vocab_V = rows;
  }
  return spec;
}

std::string running_name(const ModelSpec& spec, const std::string& stored) {
  for (const ModelFamily& family : models()) {
    if (spec.architecture == family.architecture)
      return family.running_name ? family.running_name(stored) : stored;
  }
  return stored;
}

std::vector<WantedTensor> wanted_tensors(const Checkpoint& checkpoint, const ModelSpec& spec) {
  TensorLookup tensors(checkpoint);
  model_family(config_of(checkpoint)).weights(tensors, spec);
  return tensors.wanted();
}

WeightTable build_weight_table(const Checkpoint& checkpoint, const ModelSpec& spec) {
  TensorLookup tensors(checkpoint);
  WeightTable table = model_family(config_of(checkpoint)).weights(tensors, spec);
  tensors.finish();
  return table;
}

}  // namespace mmprm
