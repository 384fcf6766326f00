#include "models/packed_model.h"

#include "include/engine/error.h"
#include "models/position_table.h"

namespace mmprm {
namespace {

// Packs fields of one kind; `as` is how its matrices are kept.
class Packer {
 public:
  struct Progress {
    Device& device;
    const Checkpoint& checkpoint;
    const PackOptions& options;
    size_t done_bytes = 0, total_bytes = 0;
    uint64_t packed_bytes = 0;
  };
  Packer(Progress& progress, DType as) : p_(progress), as_(as) {}

  void operator()(const NormSource& from, NormWeights& to) const {
    (*this)(from.weight, to.weight);
    (*this)(from.bias, to.bias);
    to.eps = from.eps;
  }
  void operator()(const VectorSource& from, Tensor& to) const {
    if (from.empty()) return;
    for (const VectorSource::Part& part : from.parts) {
      if (part.data) p_.checkpoint.make(part.data, false);
    }
    to = p_.device.allocate(1, from.size, DType::kF32);
    p_.device.write(to, from.to_f32().data());
  }
  void operator()(const MatrixSource& from, Tensor& to) const {
    if (from.empty()) return;
    make(from, false);
    to = p_.device.allocate(from.rows, from.cols, DType::kF32);
    p_.device.write(to, from.to_f32().data());
  }
  void operator()(const MatrixSource& from, Table& to) const {
    if (from.empty()) return;
    make(from, true);  // a table reads its rows where they lie
    to = p_.device.table(from.row_refs(), from.cols);
  }
  void operator()(const LinearSource& from, Linear& to) const {
    if (from.empty()) return;
    if (p_.options.cancelled && p_.options.cancelled->load())
      throw Error(ErrorCode::kAborted, "opening was aborted");
    make(from.weight, false);
    to = p_.device.pack(from.weight.row_refs(), from.weight.cols, as_, from.bias.to_f32(), from.gated);
    p_.packed_bytes += to.bytes;
    for (const MatrixSource::Block& b : from.weight.blocks) {
      if (from.weight.made) break;
      p_.checkpoint.drop_resident(b.data, size_t(b.num_rows) * from.weight.cols * dtype_bytes(b.dtype));
    }
    p_.done_bytes += from.weight.num_bytes();
    if (p_.options.on_progress) p_.options.on_progress(p_.done_bytes, p_.total_bytes);
  }
  template <typename From, typename To>
  void layers(const std::vector<From>& from, std::vector<To>& to) const {
    to.resize(from.size());
    for (size_t l = 0; l < from.size(); ++l) for_each_field(*this, from[l], to[l]);
  }

 private:
  void make(const MatrixSource& matrix, bool keep) const {
    for (const MatrixSource::Block& b : matrix.blocks) p_.checkpoint.make(b.data, keep);
  }

  Progress& p_;
  DType as_;
};

struct MatrixBytes {
  size_t total = 0;
  void operator()(const LinearSource& linear) { total += linear.weight.num_bytes(); }
  template <typename Other>
  void operator()(const Other&) {}
};

size_t matrix_bytes(const WeightTable& weights) {
  MatrixBytes bytes;
  for_each_field(bytes, weights.decoder);
  for_each_field(bytes, weights.vision);
  for (const DecoderLayerWeights& layer : weights.decoder.layers) for_each_field(bytes, layer);
  for (const VisionLayerWeights& layer : weights.vision.layers) for_each_field(bytes, layer);
  for (const auto& merger : weights.vision.deepstack) for_each_field(bytes, merger);
  return bytes.total;
}

// What a tile's rows begin as, for tiles of the spec's image_size: positions, under the class embedding too.
std::vector<float> tile_positions(const VisionSpec& spec, const VisionWeights& weights) {
  const PositionResize resize(spec.positions_per_side(), spec.patches_per_side());
  std::vector<float> positions(resize.num_rows() * spec.hidden_C);
  resize.apply(weights.position_embedding.to_f32().data(), spec.hidden_C, positions.data());
  const std::vector<float> first = weights.class_embedding.to_f32();
  for (size_t c = 0; c < first.size(); ++c) positions[c] += first[c];
  return positions;
}

}  // namespace

PackedModel pack_model(Device& device, const Checkpoint& checkpoint, const ModelSpec& spec,
                       const WeightTable& weights, const PackOptions& options) {
  // Quantised weights are for the decoder's layers. What sees little traffic keeps more digits: the head at
  // least int8, vision, projector and reward heads bf16.
  const DType as = options.weight_dtype, head_as = as == DType::kInt4 ? DType::kInt8 : as;
  Packer::Progress progress{device, checkpoint, options};
  progress.total_bytes = matrix_bytes(weights);
  const Packer layers(progress, as), head(progress, head_as);
  const Packer exact(progress, is_quantized(as) ? DType::kBF16 : as);
  PackedModel model;
  model.decoder.spec = spec.decoder;
  const DecoderWeights& d = weights.decoder;
  layers.layers(d.layers, model.decoder.layers);
  exact(d.embed, model.decoder.embed);
  exact(d.head.weight, model.decoder.head_rows);
  exact(d.final_norm, model.decoder.final_norm);
  head(d.head, model.decoder.head);
  for (int i = 0; i < 3; ++i) exact(d.reward[i], model.decoder.reward[i]);
  if (spec.vision) {
    model.vision.spec = *spec.vision;
    for_each_field(exact, weights.vision, model.vision);
    Tensor& positions = model.vision.position_embedding;
    device.release(positions);
    positions = {};
    if (spec.vision->kind == VisionKind::kTiles) {
      const int side = spec.vision->patches_per_side();
      positions = device.allocate(1 + side * side, spec.vision->hidden_C, DType::kF32);
      device.write(positions, tile_positions(*spec.vision, weights.vision).data());
    } else {
      model.vision.position_table = weights.vision.position_embedding.to_f32();
    }
    exact.layers(weights.vision.layers, model.vision.layers);
    exact.layers(weights.vision.deepstack, model.vision.deepstack);
  }
  model.bytes = progress.packed_bytes;
  return model;
}

}  // namespace mmprm
