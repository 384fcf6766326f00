// What a model consists of, described once: the sources in a checkpoint, the weights on a device and the
// parameters under training are the same structs over other types. Whatever is done to every weight (packing,
// counting, training) goes through for_each_field().
//
//   Norm    weight, perhaps bias, eps
//   Linear  weight rows, perhaps bias; gate_up is all gate rows, then all up rows
//   Vector  one row
//   Rows    a matrix that is looked up or added row by row
#pragma once
#include <cstddef>
#include <tuple>
#include <utility>
#include <vector>

namespace mmprm {

template <typename Norm, typename Linear>
struct DecoderLayerOf {
  Norm attention_norm, ffn_norm;
  Norm q_norm, k_norm;           // over each head alone; empty: none
  Linear qkv, o, gate_up, down;  // qkv = all query heads | all key heads | all value heads

  static auto fields(auto& l) {
    return std::tie(l.attention_norm, l.ffn_norm, l.q_norm, l.k_norm, l.qkv, l.o, l.gate_up, l.down);
  }
};

template <typename Norm, typename Linear, typename Vector>
struct VisionLayerOf {
  Norm norm1, norm2;
  Norm q_norm, k_norm;  // over all heads together; empty: none
  Linear qkv, proj, fc1, fc2;
  Vector scale1, scale2;  // layer scale

  static auto fields(auto& l) {
    return std::tie(l.norm1, l.norm2, l.q_norm, l.k_norm, l.qkv, l.proj, l.fc1, l.fc2, l.scale1, l.scale2);
  }
};

template <typename Norm, typename Linear, typename Rows>
struct DecoderOf {
  Rows embed;
  std::vector<DecoderLayerOf<Norm, Linear>> layers;
  Norm final_norm;
  Linear head;  // the embedding's rows where tied; empty with a reward head
  Linear
      reward[3];  // one behind the other, a ReLU between; a head of fewer products leaves the last ones empty

  static auto fields(auto& d) {
    return std::tie(d.embed, d.final_norm, d.head, d.reward[0], d.reward[1], d.reward[2]);
  }
};

// Patches to rows of the language model.
template <typename Norm, typename Linear>
struct MergerOf {
  Norm norm;
  Linear fc1, fc2;

  static auto fields(auto& m) { return std::tie(m.norm, m.fc1, m.fc2); }
};

template <typename Norm, typename Linear, typename Vector, typename Rows>
struct VisionOf {
  Linear patch_embedding;   // C rows of channels·frames·patch·patch
  Vector class_embedding;   // [C]
  Rows position_embedding;  // 1 + patches rows of C
  std::vector<VisionLayerOf<Norm, Linear, Vector>> layers;
  Norm projector_norm;
  Linear projector_fc1, projector_fc2;
  std::vector<MergerOf<Norm, Linear>> deepstack;  // one for each of the spec's deepstack_layers

  static auto fields(auto& v) {
    return std::tie(v.patch_embedding, v.class_embedding, v.position_embedding, v.projector_norm,
                    v.projector_fc1, v.projector_fc2);
  }
};

// f(field) or f(from's field, to's field) for each field of structs of one description.
template <typename F, typename... Structs>
void for_each_field(F&& f, Structs&... structs) {
  const auto call = [&]<size_t I>(auto&... tied) { f(std::get<I>(tied)...); };
  const auto all = [&]<size_t... I>(std::index_sequence<I...>, auto... tied) {
    (call.template operator()<I>(tied...), ...);
  };
  using First = std::tuple_element_t<0, std::tuple<Structs...>>;
  using Fields = decltype(First::fields(std::declval<First&>()));
  all(std::make_index_sequence<std::tuple_size_v<Fields>>(), Structs::fields(structs)...);
}

}  // namespace mmprm
