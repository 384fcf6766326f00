// Ensembles of small heads over one decoder (ActPRM): E times Linear, ReLU, Linear, ReLU, Linear to one number.
#include "base/float_types.h"
#include "models/family.h"

namespace mmprm {
namespace {

constexpr int kEnsembleWidth = 128;  // of the published class, where the weights do not say
constexpr const char* kFirst = "score.model.nn1.weight";
const char* const kParts[3] = {"nn1", "nn2", "nn_out"};

int extent(const TensorLookup& tensors, size_t axis, int otherwise) {
  const TensorView* view = tensors.find(kFirst);
  return view && view->shape.size() == 3 && view->shape[axis] < 1 << 16 ? int(view->shape[axis]) : otherwise;
}

// Stored (E, in, out). Head e has rows [e·out, (e + 1)·out): over all columns, or, `diagonal`, over its own `in` of E·in
// with zeros beside. WHY zeros: no device needs an op of its own for a few rows of marks.
MatrixSource heads_as_rows(const TensorView& view, int E, int in, int out, bool diagonal) {
  MatrixSource source;
  source.rows = E * out;
  source.cols = diagonal ? E * in : in;
  source.made = std::make_shared<std::vector<float>>(size_t(source.rows) * source.cols);
  for (int64_t e = 0; e < E; ++e) {
    for (int64_t i = 0; i < in; ++i) {
      for (int64_t o = 0; o < out; ++o) {
        (*source.made)[(e * out + o) * source.cols + (diagonal ? e * in : 0) + i] =
            load_as_f32(view.data, view.dtype, (e * in + i) * out + o);
      }
    }
  }
  source.blocks.push_back(
      {reinterpret_cast<const std::byte*>(source.made->data()), DType::kF32, source.rows});
  return source;
}

}  // namespace

int ensemble_heads(const TensorLookup& tensors, int otherwise) { return extent(tensors, 0, otherwise); }

void ensemble_weights(TensorLookup& tensors, const DecoderSpec& spec, DecoderWeights& out) {
  const int E = spec.num_classes, width = extent(tensors, 2, kEnsembleWidth);
  for (int part = 0; part < 3; ++part) {
    const int in = part == 0 ? spec.hidden_C : width, wide = part == 2 ? 1 : width;
    const std::string name = std::string("score.model.") + kParts[part];
    if (const TensorView* view = tensors.want(name + ".weight", {E, in, wide}))
      out.reward[part].weight = heads_as_rows(*view, E, in, wide, part > 0);
    if (const TensorView* view = tensors.want(name + ".bias", {E, wide}))
      append_elements(out.reward[part].bias, *view, 0, E * wide);
    for (const char* kind : {".weight", ".bias"})
      tensors.ignore(std::string("score.reg_model.") + kParts[part] + kind);
  }
}

}  // namespace mmprm
