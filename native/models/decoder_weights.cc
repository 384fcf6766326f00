// Embedding and heads, which all decoder families store alike.
#include <cstring>

#include "models/family.h"

namespace mmprm {
namespace {

bool same_bytes(const TensorView& a, const TensorView& b) {
  return a.dtype_name == b.dtype_name && a.shape == b.shape && std::memcmp(a.data, b.data, a.size_bytes) == 0;
}

std::string vocab_hint(const DecoderSpec& spec) {
  return " (\"vocab_size\" is " + std::to_string(spec.embed_rows) + ")";
}

}  // namespace

void settle_head(const TensorLookup& tensors, const DecoderNames& names, const DecoderFamily& family,
                 std::optional<bool> nested, std::optional<bool> top, DecoderSpec& spec) {
  const TensorView* head = tensors.find(names.head);
  if (!head) {
    spec.tied_head = nested.value_or(false) || top.value_or(false) || (!nested && !top);
    return;
  }
  spec.tied_head = false;
  // WHY: under a wrapper the decoder's flag is not applied by the reference, so the stored head simply
  // counts; a decoder on its own that is flagged as tied would lose a head that differs from the embedding.
  const TensorView* embed = tensors.find(names.backbone + family.embed);
  if (head->is_added) return;  // an adapter's: config.json tells of the base
  if (!top && nested.value_or(false) && embed && !same_bytes(*head, *embed)) {
    throw Error(ErrorCode::kInvalidModel,
                head->file + ": \"tie_word_embeddings\" is true in config.json, but " + head->name +
                    " is stored and differs from " + embed->name + "; set it to false if the head is meant");
  }
}

std::string linear_head_of(const TensorLookup& tensors) {
  return tensors.pick_prefix({"v_head.summary", "score", "classifier"}, ".weight");
}

DecoderWeights decoder_weights(TensorLookup& tensors, const DecoderNames& names, const DecoderFamily& family,
                               const DecoderSpec& spec) {
  DecoderWeights out;
  out.embed = tensors.matrix(names.backbone + family.embed, spec.embed_rows, spec.hidden_C, vocab_hint(spec));
  family.layers(tensors, names.backbone, spec, out);
  if (spec.reward_head == RewardHead::kTwoLayer) {
    out.reward[0].weight = tensors.matrix("score.0.weight", spec.hidden_C, spec.hidden_C);
    out.reward[0].bias = tensors.vector("score.0.bias", spec.hidden_C);
    out.reward[1].weight = tensors.matrix("score.2.weight", spec.num_classes, spec.hidden_C);
    out.reward[1].bias = tensors.vector("score.2.bias", spec.num_classes);
    tensors.ignore(names.head);  // left over from the policy that the reward model was trained from
  } else if (spec.reward_head == RewardHead::kLinear) {
    const std::string head = linear_head_of(tensors);
    out.reward[0].weight = tensors.matrix(head + ".weight", spec.num_classes, spec.hidden_C);
    if (tensors.has(head + ".bias")) out.reward[0].bias = tensors.vector(head + ".bias", spec.num_classes);
    tensors.ignore(names.head);
  } else if (spec.reward_head == RewardHead::kEnsemble) {
    ensemble_weights(tensors, spec, out);
    tensors.ignore(names.head);
  } else if (spec.tied_head) {
    out.head.weight = out.embed;
  } else {
    out.head.weight = tensors.matrix(names.head, spec.vocab_V, spec.hidden_C, vocab_hint(spec));
  }
  return out;
}

}  // namespace mmprm
