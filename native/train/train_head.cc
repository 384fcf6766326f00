#include "train/train_head.h"

#include <cmath>

#include "base/philox.h"
#include "models/family.h"

namespace mmprm {
namespace {

constexpr uint32_t kHeadDraw =
    2;  // the last word of the counter names the purpose: 0 adapters, 1 whole models

using Shape = std::vector<int64_t>;

// A layer and how it is stored.
struct NamedLayer {
  std::string name;  // before ".weight"
  HeadLayer layer;
  Shape weight, bias;
  std::string anchor;  // empty: none
};

NamedLayer plain_layer(const std::string& name, int in, int out) {
  return {name, {1, in, out}, {out, in}, {out}, ""};
}

// WHY the last is no in_out: of one output both orders are the same numbers, and rows make it a matrix to the optimizer.
NamedLayer ensemble_layer(const std::string& part, int heads, int in, int out) {
  return {"score.model." + part,
          {heads, in, out, out > 1},
          {heads, in, out},
          {heads, out},
          "score.reg_model." + part};
}

std::vector<NamedLayer> layers_of(RewardHead kind, const std::string& linear, int outputs, int C, int width) {
  if (kind == RewardHead::kLinear) return {plain_layer(linear, C, outputs)};
  if (kind == RewardHead::kTwoLayer)
    return {plain_layer("score.0", C, C), plain_layer("score.2", C, outputs)};
  return {ensemble_layer("nn1", outputs, C, width), ensemble_layer("nn2", outputs, width, width),
          ensemble_layer("nn_out", outputs, width, 1)};
}

std::vector<float> uniform_values(size_t size, double bound, uint64_t seed, uint32_t stream) {
  std::vector<float> values(size);
  for (size_t i = 0; i < size; ++i) {
    const PhiloxCounter counter{uint32_t(i), uint32_t(uint64_t(i) >> 32), stream, kHeadDraw};
    values[i] = float((2 * philox_uniform(philox4x32(counter, philox_key(seed))) - 1) * bound);
  }
  return values;
}

// Weight and bias of one product, stored or new.
class LayerOpener {
 public:
  LayerOpener(ParameterSet& parameters, bool is_new, uint64_t seed)
      : parameters_(parameters), is_new_(is_new), seed_(seed) {}

  HeadLayer open(const NamedLayer& named) {
    HeadLayer l = named.layer;
    const int rows = l.heads * (l.in_out ? l.in : l.out), cols = l.in_out ? l.out : l.in;
    const auto tensor = [&](const char* kind, int r, int c, const Shape& shape) {
      const std::string name = named.name + kind;
      return is_new_ ? add_new(name, r, c, shape, 1 / std::sqrt(double(l.in)))
                     : parameters_.add_stored(name, r, c, ModelPart::kHead);
    };
    l.weight = tensor(".weight", rows, cols, named.weight);
    l.bias = tensor(".bias", l.heads * l.out, 1, named.bias);
    if (named.anchor.empty()) return l;
    l.weight_anchor = anchor(named.anchor + ".weight", *l.weight, named.weight);
    if (l.bias) l.bias_anchor = anchor(named.anchor + ".bias", *l.bias, named.bias);
    return l;
  }

 private:
  Parameter* add_new(const std::string& name, int rows, int cols, const Shape& shape, double bound) {
    Parameter* p = parameters_.add_new(name, rows, cols, ModelPart::kHead, shape);
    parameters_.set_values(*p, uniform_values(p->size(), bound, seed_, stream_++));
    return p;
  }
  Parameter* anchor(const std::string& name, const Parameter& of, const Shape& shape) {
    if (!is_new_) {
      if (Parameter* stored = parameters_.add_stored(name, of.rows, of.cols, ModelPart::kKept)) return stored;
    }
    Parameter* p = parameters_.add_new(name, of.rows, of.cols, ModelPart::kKept, shape);
    parameters_.set_values(*p, parameters_.values(of));
    return p;
  }

  ParameterSet& parameters_;
  const bool is_new_;
  const uint64_t seed_;
  uint32_t stream_ = 0;
};

RewardHead kind_of(const std::string& name) {
  if (name == "linear") return RewardHead::kLinear;
  if (name == "two-layer") return RewardHead::kTwoLayer;
  if (name == "ensemble") return RewardHead::kEnsemble;
  throw Error(ErrorCode::kInvalidArgument,
              "no kind of head is called " + name + "; linear, two-layer and ensemble are");
}

std::vector<NamedLayer> new_layers(const HeadOptions& wanted, int C) {
  const RewardHead kind = kind_of(wanted.kind);
  if (wanted.outputs < 1 || (kind == RewardHead::kEnsemble && wanted.width < 1))
    throw Error(ErrorCode::kInvalidArgument,
                "a head has at least one output, and an ensemble's at least one column");
  return layers_of(kind, wanted.name, wanted.outputs, C, wanted.width);
}

std::vector<NamedLayer> stored_layers(const Checkpoint& checkpoint, const DecoderSpec& spec) {
  const TensorLookup tensors(checkpoint);
  int width = 0;
  if (spec.reward_head == RewardHead::kEnsemble)
    width = int(tensors.find("score.model.nn1.weight")->shape.at(2));
  return layers_of(spec.reward_head, linear_head_of(tensors), spec.num_classes, spec.hidden_C, width);
}

// Head e's part of what all have.
Tensor weight_of(const HeadLayer& l, const Tensor& all, int e) {
  const int rows = l.in_out ? l.in : l.out;
  return all.part(int64_t(e) * rows, rows);
}
// WHY the first sees one x: every head of an ensemble reads the same hidden state.
Tensor input_of(const HeadLayer& l, const Tensor& x, int e) {
  return x.cols == l.in ? x : x.columns(int64_t(e) * l.in, l.in);
}
Tensor output_of(const HeadLayer& l, const Tensor& y, int e) { return y.columns(int64_t(e) * l.out, l.out); }

void product(TrainOps& ops, const MatmulOp::Operand& a, const MatmulOp::Operand& b, const Tensor& c, bool add,
             const Tensor& bias = {}) {
  ops.device_ops().matmul({c, a, b, add ? c : Tensor(), bias, DType::kF32});
}

}  // namespace

TrainHead open_head(const Checkpoint& checkpoint, const DecoderSpec& spec, const HeadOptions& wanted,
                    uint64_t seed, ParameterSet& parameters) {
  TrainHead head;
  const bool is_new = !wanted.kind.empty();
  if (!is_new && spec.reward_head == RewardHead::kNone) return head;
  head.kind = is_new ? kind_of(wanted.kind) : spec.reward_head;
  LayerOpener opener(parameters, is_new, seed);
  for (const NamedLayer& named : is_new ? new_layers(wanted, spec.hidden_C) : stored_layers(checkpoint, spec))
    head.layers.push_back(opener.open(named));
  return head;
}

void pull_to_anchor(const TrainHead& head, double strength, TrainOps& ops) {
  if (!head.is_ensemble())
    throw Error(ErrorCode::kInvalidArgument, "only the heads of an ensemble are held to how they began");
  double size = 0;
  for (const HeadLayer& l : head.layers) size += double(l.weight->size()) + (l.bias ? l.bias->size() : 0);
  const float factor = float(2 * strength / size);
  const auto pull = [&](const Parameter& p, const Parameter& anchor) {
    Workspace workspace(ops.device());
    Tensor gap;
    workspace.reserve(gap, p.rows, p.cols, DType::kF32);
    ops.copy(anchor.value, gap);
    ops.device_ops().scale({gap, -1});
    ops.device_ops().add({gap, p.value, gap});
    ops.device_ops().scale({gap, factor});
    ops.device_ops().add({p.gradient, p.gradient, gap});
  };
  for (const HeadLayer& l : head.layers) {
    pull(*l.weight, *l.weight_anchor);
    if (l.bias) pull(*l.bias, *l.bias_anchor);
  }
}

Tensor HeadPass::forward(const Tensor& x) {
  x_ = x;
  Tensor input = x;
  for (size_t i = 0; i < head_.layers.size(); ++i) {
    const HeadLayer& l = head_.layers[i];
    if (i > 0) ops_.device_ops().relu({input});
    workspace_.reserve(y_[i], x.rows, l.heads * l.out, DType::kF32);
    const Tensor y = y_[i].part(0, x.rows);
    for (int e = 0; e < l.heads; ++e) {
      const Tensor bias = l.bias ? l.bias->value.part(int64_t(e) * l.out, l.out) : Tensor();
      product(ops_, {input_of(l, input, e), false}, {weight_of(l, l.weight->value, e), !l.in_out},
              output_of(l, y, e), false, bias);
    }
    input = y;
  }
  return input;
}

void HeadPass::backward(const std::vector<float>& d_logits, const Tensor& d_x) {
  const int rows = x_.rows, last = int(head_.layers.size()) - 1;
  for (int i = 0; i <= last; ++i) workspace_.reserve(d_y_[i], rows, y_[i].cols, DType::kF32);
  ops_.device().write(d_y_[last].part(0, rows), d_logits.data());
  for (int i = last; i >= 0; --i) {
    const HeadLayer& l = head_.layers[i];
    const Tensor input = i > 0 ? y_[i - 1].part(0, rows) : x_, d_y = d_y_[i].part(0, rows);
    const Tensor d_input = i > 0 ? d_y_[i - 1].part(0, rows) : d_x;
    if (l.bias) ops_.device_ops().column_sum({l.bias->gradient, d_y});
    for (int e = 0; e < l.heads; ++e) {
      const Tensor x = input_of(l, input, e), dy = output_of(l, d_y, e);
      const Tensor d_weight = weight_of(l, l.weight->gradient, e);
      if (l.in_out)
        product(ops_, {x, true}, {dy, false}, d_weight, true);
      else
        product(ops_, {dy, true}, {x, false}, d_weight, true);
      product(ops_, {dy, false}, {weight_of(l, l.weight->value, e), l.in_out}, input_of(l, d_input, e),
              i == 0 && e > 0);
    }
    if (i > 0) ops_.device_ops().relu_grad({d_input, input});
  }
}

}  // namespace mmprm
