#include "train/train_model.h"

#include "models/family.h"
#include "models/registry.h"

namespace mmprm {
// Adds the parameters of sources, all of one part of the model.
class TrainModel::Builder {
 public:
  Builder(ParameterSet& parameters, ModelPart part) : parameters_(parameters), part_(part) {}

  void operator()(const NormSource& from, TrainNorm& to) const {
    to = {parameters_.add(from.weight, part_), parameters_.add(from.bias, part_), from.eps};
  }
  void operator()(const LinearSource& from, TrainLinear& to) const {
    to = {parameters_.add(from.weight, part_), parameters_.add(from.bias, part_), {}};
  }
  template <typename Source>
  void operator()(const Source& from, Parameter*& to) const {
    to = parameters_.add(from, part_);
  }
  template <typename From, typename To>
  void layers(const std::vector<From>& from, std::vector<To>& to) const {
    to.resize(from.size());
    for (size_t l = 0; l < from.size(); ++l) for_each_field(*this, from[l], to[l]);
  }

 private:
  ParameterSet& parameters_;
  ModelPart part_;
};

TrainModel::TrainModel(const Checkpoint& checkpoint, const ModelSpec& spec, Device& device,
                       const HeadOptions& head, uint64_t seed)
    : spec_(spec), parameters_(checkpoint, device) {
  const bool has_head = spec.decoder.reward_head != RewardHead::kNone, adds_head = !head.kind.empty();
  if (has_head && adds_head) {
    throw Error(ErrorCode::kInvalidArgument,
                checkpoint.folder() + ": has a reward head, which is trained on; another one was asked for");
  }
  const WeightTable weights = build_weight_table(checkpoint, spec);
  const Builder language(parameters_, ModelPart::kLanguage);
  // INVARIANT: this order; the gradients' norm is summed in it.
  language(weights.decoder.embed, decoder_.embed);
  if (!has_head && !adds_head) language(weights.decoder.head, decoder_.head);
  language.layers(weights.decoder.layers, decoder_.layers);
  language(weights.decoder.final_norm, decoder_.final_norm);
  if (spec.vision) build_vision(weights.vision);
  if (has_head || adds_head) build_head(checkpoint, head, seed);
}

void TrainModel::build_head(const Checkpoint& checkpoint, const HeadOptions& wanted, uint64_t seed) {
  if (wanted.keeps_vocabulary) {
    const DecoderSpec& d = spec_.decoder;
    decoder_.head.weight =
        parameters_.add_stored(decoder_family(spec_.family).head, d.embed_rows, d.hidden_C, ModelPart::kKept);
  }
  head_ = open_head(checkpoint, spec_.decoder, wanted, seed, parameters_);
  spec_.decoder.reward_head = head_.kind;
  spec_.decoder.num_classes = head_.outputs();
  spec_.decoder.vocab_V = 0;
  if (head_.outputs() > 2 && !head_.is_ensemble()) {
    throw Error(ErrorCode::kUnsupportedModel,
                checkpoint.folder() + ": a head of " + std::to_string(head_.outputs()) +
                    " classes cannot be trained: a step is right or wrong, which one output says, or two");
  }
}

void TrainModel::build_vision(const VisionWeights& weights) {
  const Builder tower(parameters_, ModelPart::kVision), projector(parameters_, ModelPart::kProjector);
  tower(weights.patch_embedding, vision_.patch_embedding);
  tower(weights.class_embedding, vision_.class_embedding);
  tower(weights.position_embedding, vision_.position_embedding);
  if (spec_.vision->kind == VisionKind::kTiles) {
    // As the family's own code has them, whatever the checkpoint says: the engine reads both.
    parameters_.set_shape(*vision_.class_embedding, {1, 1, spec_.vision->hidden_C});
    parameters_.set_shape(*vision_.position_embedding,
                          {1, vision_.position_embedding->rows, vision_.position_embedding->cols});
  }
  tower.layers(weights.layers, vision_.layers);
  projector(weights.projector_norm, vision_.projector_norm);
  projector(weights.projector_fc1, vision_.projector_fc1);
  projector(weights.projector_fc2, vision_.projector_fc2);
  projector.layers(weights.deepstack, vision_.deepstack);
}

void TrainModel::add_tokens(const std::vector<int32_t>& ids) {
  has_new_tokens_ = !ids.empty();
  parameters_.set_rows_to_mean(*decoder_.embed, ids);
  Parameter* head = decoder_.head.weight;
  if (head && head != decoder_.embed) parameters_.set_rows_to_mean(*head, ids);
  spec_.decoder.embed_rows = decoder_.embed->rows;
  if (head_.empty()) spec_.decoder.vocab_V = head->rows;
}

std::vector<TrainLinear*> TrainModel::language_linears() {
  std::vector<TrainLinear*> all;
  for (TrainDecoderLayer& layer : decoder_.layers) {
    for (TrainLinear* linear : {&layer.qkv, &layer.o, &layer.gate_up, &layer.down}) all.push_back(linear);
  }
  return all;
}

}  // namespace mmprm
