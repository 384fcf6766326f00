#include "models/packed_model.h"

#include "models/position_table.h"

namespace mmprm {
namespace {

constexpr int kSwigluGroup = 8;

size_t source_bytes(const MatrixSource& source) {
  size_t bytes = 0;
  for (const MatrixSource::Block& b : source.blocks)
    bytes += size_t(b.num_rows) * source.cols * dtype_bytes(b.dtype);
  return bytes;
}

// Rows in the order Epilogue::kSwiglu reads them; a last, shorter group is filled up with rows of zeros.
template <typename T>
std::vector<T> interleave_gate_up(const std::vector<T>& gate, const std::vector<T>& up) {
  std::vector<T> rows;
  for (size_t first = 0; first < gate.size(); first += kSwigluGroup) {
    for (const std::vector<T>* part : {&gate, &up}) {
      for (size_t i = first; i < first + kSwigluGroup; ++i)
        rows.push_back(i < part->size() ? (*part)[i] : T{});
    }
  }
  return rows;
}

class Packer {
 public:
  Packer(const Checkpoint& checkpoint, const PackOptions& options, ThreadPool& pool)
      : checkpoint_(checkpoint), options_(options), pool_(pool) {}

  void count(size_t total_bytes) { total_bytes_ += total_bytes; }
  size_t packed_bytes() const { return packed_bytes_; }

  // Quantised weights are for the decoder's layers. What sees little traffic keeps more digits: the head at
  // least int8, vision, projector and reward heads bf16.
  PackedLinear head(const MatrixSource& source) {
    return linear(source, {}, options_.weight_dtype == DType::kInt4 ? DType::kInt8 : options_.weight_dtype);
  }
  PackedLinear exact(const MatrixSource& source, const VectorSource& bias) {
    return linear(source, bias, is_quantized(options_.weight_dtype) ? DType::kBF16 : options_.weight_dtype);
  }
  PackedLinear linear(const MatrixSource& source, const VectorSource& bias) {
    return linear(source, bias, options_.weight_dtype);
  }

  PackedLinear gate_up(const DecoderLayerWeights& layer) {
    PackedLinear out = pack(interleave_gate_up(layer.gate.row_refs(), layer.up.row_refs()), layer.gate.cols,
                            options_.weight_dtype);
    out.bias = interleave_gate_up(layer.gate_bias.to_f32(), layer.up_bias.to_f32());
    release(layer.gate);
    release(layer.up);
    return out;
  }

 private:
  PackedLinear linear(const MatrixSource& source, const VectorSource& bias, DType dtype) {
    PackedLinear out = pack(source.row_refs(), source.cols, dtype);
    out.bias = bias.to_f32();
    release(source);
    return out;
  }

  PackedLinear pack(const std::vector<RowRef>& rows, int cols, DType dtype) {
    if (options_.cancelled && options_.cancelled->load())
      throw Error(ErrorCode::kAborted, "opening was aborted");
    const GemmKernel& gemm = options_.kernels->gemm;
    const int N = static_cast<int>(rows.size());
    if (N == 0) return {};
    PackedLinear out;
    out.storage.reserve(gemm.packed_bytes(dtype, N, cols));
    out.w = {out.storage.data(), dtype, N, cols};
    const PackArgs args{rows.data(), out.storage.data(), dtype, N, cols};
    pool_.run(gemm.pack_units(args), 1, [&](int64_t begin, int64_t end) { gemm.pack(args, begin, end); });
    packed_bytes_ += out.storage.size_bytes();
    return out;
  }

  void release(const MatrixSource& source) {
    for (const MatrixSource::Block& b : source.blocks) {
      checkpoint_.drop_resident(b.data, size_t(b.num_rows) * source.cols * dtype_bytes(b.dtype));
    }
    done_bytes_ += source_bytes(source);
    if (options_.on_progress) options_.on_progress(done_bytes_, total_bytes_);
  }

  const Checkpoint& checkpoint_;
  const PackOptions& options_;
  ThreadPool& pool_;
  size_t done_bytes_ = 0, total_bytes_ = 0, packed_bytes_ = 0;
};

PackedDecoder pack_decoder(const DecoderSpec& spec, const DecoderWeights& weights, Packer& packer) {
  PackedDecoder out;
  out.spec = spec;
  out.embed = weights.embed;
  out.head_source = weights.head;
  for (const DecoderLayerWeights& layer : weights.layers) {
    PackedDecoderLayer packed;
    packed.attention_norm = layer.attention_norm.to_f32();
    packed.ffn_norm = layer.ffn_norm.to_f32();
    packed.qkv = packer.linear(layer.qkv, layer.qkv_bias);
    packed.o = packer.linear(layer.o, layer.o_bias);
    packed.gate_up = packer.gate_up(layer);
    packed.down = packer.linear(layer.down, layer.down_bias);
    out.layers.push_back(std::move(packed));
  }
  out.final_norm = weights.final_norm.to_f32();
  out.head = packer.head(weights.head);
  out.reward_fc1 = packer.exact(weights.reward_fc1, weights.reward_fc1_bias);
  out.reward_fc2 = packer.exact(weights.reward_fc2, weights.reward_fc2_bias);
  return out;
}

std::vector<float> matrix_to_f32(const MatrixSource& source) {
  std::vector<float> out;
  for (const MatrixSource::Block& b : source.blocks) {
    const VectorSource block{{{b.data, b.dtype, b.num_rows * source.cols}}, b.num_rows * source.cols};
    const std::vector<float> values = block.to_f32();
    out.insert(out.end(), values.begin(), values.end());
  }
  return out;
}

PackedVision pack_vision(const VisionSpec& spec, const VisionWeights& weights, Packer& packer) {
  PackedVision out;
  out.spec = spec;
  out.patch_embedding = packer.exact(weights.patch_embedding, weights.patch_bias);
  out.class_embedding = weights.class_embedding.to_f32();
  const PositionResize positions(spec.positions_per_side(), spec.patches_per_side());
  out.position_embedding.resize(positions.num_rows() * spec.hidden_C);
  positions.apply(matrix_to_f32(weights.position_embedding).data(), spec.hidden_C,
                  out.position_embedding.data());
  for (const VisionLayerWeights& layer : weights.layers) {
    PackedVisionLayer packed;
    packed.norm1 = layer.norm1.to_f32();
    packed.norm1_bias = layer.norm1_bias.to_f32();
    packed.norm2 = layer.norm2.to_f32();
    packed.norm2_bias = layer.norm2_bias.to_f32();
    packed.q_norm = layer.q_norm.to_f32();
    packed.k_norm = layer.k_norm.to_f32();
    packed.scale1 = layer.scale1.to_f32();
    packed.scale2 = layer.scale2.to_f32();
    packed.qkv = packer.exact(layer.qkv, layer.qkv_bias);
    packed.proj = packer.exact(layer.proj, layer.proj_bias);
    packed.fc1 = packer.exact(layer.fc1, layer.fc1_bias);
    packed.fc2 = packer.exact(layer.fc2, layer.fc2_bias);
    out.layers.push_back(std::move(packed));
  }
  out.projector_norm = weights.projector_norm.to_f32();
  out.projector_norm_bias = weights.projector_norm_bias.to_f32();
  out.projector_fc1 = packer.exact(weights.projector_fc1, weights.projector_fc1_bias);
  out.projector_fc2 = packer.exact(weights.projector_fc2, weights.projector_fc2_bias);
  return out;
}

size_t matrix_bytes(const WeightTable& weights) {
  const DecoderWeights& d = weights.decoder;
  const VisionWeights& v = weights.vision;
  size_t bytes = source_bytes(d.head) + source_bytes(d.reward_fc1) + source_bytes(d.reward_fc2) +
                 source_bytes(v.patch_embedding) + source_bytes(v.projector_fc1) +
                 source_bytes(v.projector_fc2);
  for (const DecoderLayerWeights& layer : d.layers) {
    for (const MatrixSource* m : {&layer.qkv, &layer.o, &layer.gate, &layer.up, &layer.down})
      bytes += source_bytes(*m);
  }
  for (const VisionLayerWeights& layer : v.layers) {
    for (const MatrixSource* m : {&layer.qkv, &layer.proj, &layer.fc1, &layer.fc2}) bytes += source_bytes(*m);
  }
  return bytes;
}

}  // namespace

PackedModel pack_model(const Checkpoint& checkpoint, const ModelSpec& spec, const WeightTable& weights,
                       const PackOptions& options, ThreadPool& pool) {
  Packer packer(checkpoint, options, pool);
  packer.count(matrix_bytes(weights));
  PackedModel model;
  model.weight_dtype = options.weight_dtype;
  model.decoder = pack_decoder(spec.decoder, weights.decoder, packer);
  if (spec.vision) model.vision = pack_vision(*spec.vision, weights.vision, packer);
  model.packed_bytes = packer.packed_bytes();
  return model;
}

}  // namespace mmprm
