#include "train/train_model.h"

#include "models/registry.h"

namespace mmprm {
namespace {

template <typename Source>
Source joined(const Source& first, const Source& second);

template <>
MatrixSource joined(const MatrixSource& first, const MatrixSource& second) {
  MatrixSource out = first;
  out.blocks.insert(out.blocks.end(), second.blocks.begin(), second.blocks.end());
  out.rows += second.rows;
  return out;
}

template <>
VectorSource joined(const VectorSource& first, const VectorSource& second) {
  VectorSource out = first;
  out.parts.insert(out.parts.end(), second.parts.begin(), second.parts.end());
  out.size += second.size;
  return out;
}

}  // namespace

TrainModel::TrainModel(const Checkpoint& checkpoint, const ModelSpec& spec)
    : spec_(spec), parameters_(checkpoint) {
  if (spec.decoder.reward_head != RewardHead::kNone) {
    throw Error(ErrorCode::kUnsupportedModel,
                checkpoint.folder() +
                    ": models with a reward head of their own cannot be trained; start from one "
                    "with a vocabulary head");
  }
  const WeightTable weights = build_weight_table(checkpoint, spec);
  build_decoder(weights.decoder);
  if (spec.vision) build_vision(weights.vision);
}

TrainLinear TrainModel::linear(const MatrixSource& weight, const VectorSource& bias, ModelPart part) {
  return {parameters_.add(weight, part), parameters_.add(bias, part), {}};
}

TrainNorm TrainModel::norm(const VectorSource& weight, const VectorSource& bias, float eps, ModelPart part) {
  return {parameters_.add(weight, part), parameters_.add(bias, part), eps};
}

void TrainModel::build_decoder(const DecoderWeights& weights) {
  constexpr ModelPart kPart = ModelPart::kLanguage;
  const float eps = spec_.decoder.rms_eps;
  decoder_.embed = parameters_.add(weights.embed, kPart);
  decoder_.head = parameters_.add(weights.head, kPart);
  for (const DecoderLayerWeights& w : weights.layers) {
    decoder_.layers.push_back({norm(w.attention_norm, {}, eps, kPart), norm(w.ffn_norm, {}, eps, kPart),
                               linear(w.qkv, w.qkv_bias, kPart), linear(w.o, w.o_bias, kPart),
                               linear(joined(w.gate, w.up), joined(w.gate_bias, w.up_bias), kPart),
                               linear(w.down, w.down_bias, kPart)});
  }
  decoder_.final_norm = norm(weights.final_norm, {}, eps, kPart);
}

void TrainModel::build_vision(const VisionWeights& weights) {
  constexpr ModelPart kPart = ModelPart::kVision;
  const VisionSpec& s = *spec_.vision;
  vision_.patch_embedding = linear(weights.patch_embedding, weights.patch_bias, kPart);
  vision_.class_embedding = parameters_.add(weights.class_embedding, kPart);
  vision_.position_embedding = parameters_.add(weights.position_embedding, kPart);
  // As the family's own code has them, whatever the checkpoint says: the engine reads both.
  parameters_.set_shape(*vision_.class_embedding, {1, 1, s.hidden_C});
  parameters_.set_shape(*vision_.position_embedding,
                        {1, vision_.position_embedding->rows, vision_.position_embedding->cols});
  for (const VisionLayerWeights& w : weights.layers) {
    TrainVisionLayer layer;
    layer.norm1 = norm(w.norm1, w.norm1_bias, s.eps, kPart);
    layer.norm2 = norm(w.norm2, w.norm2_bias, s.eps, kPart);
    if (!w.q_norm.empty()) layer.q_norm = norm(w.q_norm, {}, s.qk_norm_eps, kPart);
    if (!w.k_norm.empty()) layer.k_norm = norm(w.k_norm, {}, s.qk_norm_eps, kPart);
    layer.qkv = linear(w.qkv, w.qkv_bias, kPart);
    layer.proj = linear(w.proj, w.proj_bias, kPart);
    layer.fc1 = linear(w.fc1, w.fc1_bias, kPart);
    layer.fc2 = linear(w.fc2, w.fc2_bias, kPart);
    layer.scale1 = parameters_.add(w.scale1, kPart);
    layer.scale2 = parameters_.add(w.scale2, kPart);
    vision_.layers.push_back(std::move(layer));
  }
  vision_.projector_norm =
      norm(weights.projector_norm, weights.projector_norm_bias, s.projector_eps, ModelPart::kProjector);
  vision_.projector_fc1 = linear(weights.projector_fc1, weights.projector_fc1_bias, ModelPart::kProjector);
  vision_.projector_fc2 = linear(weights.projector_fc2, weights.projector_fc2_bias, ModelPart::kProjector);
}

void TrainModel::add_tokens(const std::vector<int32_t>& ids) {
  has_new_tokens_ = !ids.empty();
  parameters_.set_rows_to_mean(*decoder_.embed, ids);
  if (decoder_.head != decoder_.embed) parameters_.set_rows_to_mean(*decoder_.head, ids);
  spec_.decoder.embed_rows = decoder_.embed->rows;
  spec_.decoder.vocab_V = decoder_.head->rows;
}

std::vector<TrainLinear*> TrainModel::language_linears() {
  std::vector<TrainLinear*> all;
  for (TrainDecoderLayer& layer : decoder_.layers) {
    for (TrainLinear* linear : {&layer.qkv, &layer.o, &layer.gate_up, &layer.down}) all.push_back(linear);
  }
  return all;
}

}  // namespace mmprm
