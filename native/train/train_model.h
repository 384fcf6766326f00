// The trainable form of a checkpoint: its spec, and its parameters sorted into layers.
#pragma once
#include <vector>

#include "models/model_spec.h"
#include "train/train_head.h"

namespace mmprm {

using TrainDecoderLayer = DecoderLayerOf<TrainNorm, TrainLinear>;
using TrainDecoderParameters = DecoderOf<TrainNorm, TrainLinear, Parameter*>;
using TrainVisionLayer = VisionLayerOf<TrainNorm, TrainLinear, Parameter*>;
using TrainVisionParameters = VisionOf<TrainNorm, TrainLinear, Parameter*, Parameter*>;

// PEFT's prefix of everything in an adapter file.
constexpr char kPeftPrefix[] = "base_model.model.";

struct LoraOptions {
  int rank = 0;  // 0: no adapters
  double alpha = 0;
  std::vector<std::string> targets;  // last part of a module's name: "q_proj", "wqkv" …
  uint64_t seed = 0;                 // of A; B begins as zeros
};

class TrainModel {
 public:
  // With the checkpoint's reward head, a new one in the vocabulary's place, or none. Throws kInvalidArgument for a new one
  // where one is stored.
  TrainModel(const Checkpoint& checkpoint, const ModelSpec& spec, Device& device, const HeadOptions& head,
             uint64_t seed);

  // Rows `ids` of embedding and head become the mean of the others; both grow where they are too short.
  void add_tokens(const std::vector<int32_t>& ids);
  // Adapters on every linear weight of the language model whose module's name ends in a target. Throws
  // kInvalidArgument where a target matches nothing.
  void add_adapters(const LoraOptions& options);

  const ModelSpec& spec() const { return spec_; }
  ParameterSet& parameters() { return parameters_; }
  const ParameterSet& parameters() const { return parameters_; }
  const TrainDecoderParameters& decoder() const { return decoder_; }
  const TrainVisionParameters& vision() const { return vision_; }
  const TrainHead& head() const { return head_; }
  // Columns of a picture's rows: the language model's width, and once more for each feature it adds later.
  int image_width() const { return spec_.decoder.hidden_C * static_cast<int>(1 + vision_.deepstack.size()); }
  // Embedding or head of a vocabulary that add_tokens made larger or changed.
  bool is_extended(const Parameter* parameter) const {
    return has_new_tokens_ && (parameter == decoder_.embed || parameter == decoder_.head.weight);
  }
  // The values of a stored tensor as they count: with its adapter, where it has one.
  std::vector<float> merged(const StoredTensor& tensor) const;

 private:
  class Builder;
  void build_vision(const VisionWeights& weights);
  void build_head(const Checkpoint& checkpoint, const HeadOptions& wanted, uint64_t seed);
  std::vector<TrainLinear*> language_linears();

  ModelSpec spec_;
  ParameterSet parameters_;
  TrainDecoderParameters decoder_;
  TrainVisionParameters vision_;
  TrainHead head_;
  std::map<std::string, Adapter> adapters_;  // by the stored tensor they belong to
  bool has_new_tokens_ = false;
};

}  // namespace mmprm
