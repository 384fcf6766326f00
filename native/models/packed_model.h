// The weights as a device has them: matrices packed, vectors F32, embeddings and head as tables of rows.
#pragma once
#include <atomic>
#include <functional>

#include "device/device.h"
#include "models/weight_table.h"

namespace mmprm {

struct NormWeights {
  Tensor weight, bias;
  float eps = 0;

  bool empty() const { return weight.empty(); }
};

using PackedDecoderLayer = DecoderLayerOf<NormWeights, Linear>;
using PackedVisionLayer = VisionLayerOf<NormWeights, Linear, Tensor>;

struct PackedDecoder : DecoderOf<NormWeights, Linear, Table> {
  DecoderSpec spec;
  Table head_rows;  // for pairs of logits
};

struct PackedVision : VisionOf<NormWeights, Linear, Tensor, Tensor> {
  VisionSpec spec;
  std::vector<float> position_table;  // kPatches: learned positions, [table_side², C]; perhaps empty
};

struct PackedModel {
  PackedDecoder decoder;
  PackedVision vision;  // empty layers without a vision part
  uint64_t bytes = 0;   // of the packed matrices
};

struct PackOptions {
  DType weight_dtype = DType::kBF16;
  std::function<void(size_t done_bytes, size_t total_bytes)> on_progress;  // may be empty
  const std::atomic<bool>* cancelled = nullptr;                            // may be null; throws kAborted
};

// Packs every matrix and lets go of the checkpoint's resident pages behind it.
PackedModel pack_model(Device& device, const Checkpoint& checkpoint, const ModelSpec& spec,
                       const WeightTable& weights, const PackOptions& options);

}  // namespace mmprm
