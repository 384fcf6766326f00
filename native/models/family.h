// What a model family has to provide. Two tables in registry.cc hold one line per family.
#pragma once
#include <optional>
#include <string>

#include "models/config_reader.h"
#include "models/model_spec.h"
#include "models/tensor_lookup.h"
#include "models/weight_table.h"

namespace mmprm {

// Where a decoder lies among the tensors of its checkpoint.
struct DecoderNames {
  std::string backbone;  // "model."
  std::string head;      // "lm_head.weight"
};

struct DecoderFamily {
  const char* name;          // ModelSpec::family
  const char* architecture;  // in `architectures`
  const char* model_type;
  const char* embed;  // behind the backbone's prefix
  const char* head;   // behind the prefix of the whole language model
  // `config` is the object that describes the decoder, at the top or nested.
  DecoderSpec (*parse)(const ConfigReader& config);
  // Fills layers and final_norm; embedding and heads are the same for all.
  void (*layers)(TensorLookup& tensors, const std::string& backbone, const DecoderSpec& spec,
                 DecoderWeights& out);
};

struct ModelFamily {
  const char* architecture;
  const char* model_type;
  ModelSpec (*parse)(const Checkpoint& checkpoint, const ConfigReader& config, const TensorLookup& tensors);
  WeightTable (*weights)(TensorLookup& tensors, const ModelSpec& spec);
  // What transformers calls a stored tensor in a running model; null: as it is stored, or what PEFT finds out itself.
  std::string (*running_name)(const std::string& stored) = nullptr;
};

// By architecture, else by model_type. Throws kUnsupportedModel naming key, value and the supported ones.
const DecoderFamily& find_decoder_family(const ConfigReader& config);
// By model_type alone: for architectures that put another head on a decoder.
const DecoderFamily& find_decoder_by_type(const ConfigReader& config);
const DecoderFamily& decoder_family(const std::string& name);  // ModelSpec::family

// What all decoders share: extents, eps, positions, rope. Biases, window and head are left alone.
// `default_theta`, `default_head_dim`: for families whose published configs may lack rope_theta or whose heads are
// no share of the width where head_dim is absent; 0 otherwise.
DecoderSpec parse_decoder_extents(const ConfigReader& config, double default_theta, int default_head_dim = 0);

// The window of a Qwen model: it slides in the layers that `layer_types` names (transformers 5), else from
// max_window_layers on.
void parse_qwen_window(const ConfigReader& config, DecoderSpec& spec);

// Llama's tensor names, used by Qwen2, Qwen3 and Mistral too: biases and head norms where the spec has them.
void llama_layers(TensorLookup& tensors, const std::string& backbone, const DecoderSpec& spec,
                  DecoderWeights& out);

// The output head: decides `tied_head`. A stored head counts; where none is stored, some flag must say that
// the embedding serves as head, or none must say anything (transformers ties then). `nested`, `top`: the
// flags of the decoder's own config and of the wrapper around it.
void settle_head(const TensorLookup& tensors, const DecoderNames& names, const DecoderFamily& family,
                 std::optional<bool> nested, std::optional<bool> top, DecoderSpec& spec);

// The name before ".weight" of a reward head that is one product: of a value head beside a whole model, or of a
// classification's.
std::string linear_head_of(const TensorLookup& tensors);

// Heads of an ensemble side by side, as three products: the first of all heads at once, the others block by block on the
// diagonal. `score.model.*`; the copy that training held them to, `score.reg_model.*`, is left out.
void ensemble_weights(TensorLookup& tensors, const DecoderSpec& spec, DecoderWeights& out);
// How many there are as stored; `otherwise` where they are absent.
int ensemble_heads(const TensorLookup& tensors, int otherwise);

DecoderWeights decoder_weights(TensorLookup& tensors, const DecoderNames& names, const DecoderFamily& family,
                               const DecoderSpec& spec);

// A decoder on its own; perhaps with a reward head in place of the vocabulary.
ModelSpec parse_text_model(const Checkpoint& checkpoint, const ConfigReader& config,
                           const TensorLookup& tensors);
WeightTable text_model_weights(TensorLookup& tensors, const ModelSpec& spec);

extern const DecoderFamily kInternLM2, kQwen2, kQwen3, kLlama, kMistral;
extern const ModelFamily kInternVLChat, kInternVLNative, kQwen25VL, kQwen3VL;

}  // namespace mmprm
