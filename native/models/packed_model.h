// The weights as the kernels want them: matrices packed, vectors widened to F32, gate and up interleaved.
// The embedding table and the head's rows for reward readout stay in the mapped checkpoint.
#pragma once
#include <atomic>
#include <functional>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"
#include "kernels/table.h"
#include "models/weight_table.h"

namespace mmprm {

struct PackedLinear {
  PackedMatrix w;
  std::vector<float> bias;  // empty: none
  AlignedBuffer storage;

  bool empty() const { return w.N == 0; }
  const float* bias_or_null() const { return bias.empty() ? nullptr : bias.data(); }
};

struct PackedDecoderLayer {
  std::vector<float> attention_norm, ffn_norm;
  PackedLinear qkv, o, gate_up, down;  // gate_up: groups of 8 gate rows and 8 up rows, for Epilogue::kSwiglu
};

struct PackedDecoder {
  DecoderSpec spec;
  MatrixSource embed;        // mapped
  MatrixSource head_source;  // mapped
  std::vector<PackedDecoderLayer> layers;
  std::vector<float> final_norm;
  PackedLinear head;
  PackedLinear reward_fc1, reward_fc2;
};

struct PackedVisionLayer {
  std::vector<float> norm1, norm1_bias, norm2, norm2_bias, q_norm, k_norm, scale1, scale2;
  PackedLinear qkv, proj, fc1, fc2;
};

struct PackedVision {
  VisionSpec spec;
  PackedLinear patch_embedding;
  std::vector<float> class_embedding;     // [C]
  std::vector<float> position_embedding;  // [1 + patches, C], for tiles of the spec's image_size
  std::vector<PackedVisionLayer> layers;
  std::vector<float> projector_norm, projector_norm_bias;
  PackedLinear projector_fc1, projector_fc2;
};

struct PackedModel {
  DType weight_dtype = DType::kBF16;
  PackedDecoder decoder;
  PackedVision vision;  // empty layers without a vision part
  size_t packed_bytes = 0;
};

struct PackOptions {
  DType weight_dtype = DType::kBF16;
  const KernelTable* kernels = nullptr;
  std::function<void(size_t done_bytes, size_t total_bytes)> on_progress;  // may be empty
  const std::atomic<bool>* cancelled = nullptr;                            // may be null; throws kAborted
};

// Packs every matrix and lets go of the checkpoint's resident pages behind it.
PackedModel pack_model(const Checkpoint& checkpoint, const ModelSpec& spec, const WeightTable& weights,
                       const PackOptions& options, ThreadPool& pool);

}  // namespace mmprm
