// The tensors of a checkpoint under canonical names and in canonical row order, whatever its layout:
//   qkv = all query heads | all key heads | all value heads, each head-major.
// Views point into the mapped files; nothing is copied here. A row is K contiguous stored elements.
#pragma once
#include <functional>
#include <vector>

#include "formats/checkpoint.h"
#include "kernels/gemm/gemm.h"
#include "models/model_spec.h"

namespace mmprm {

// Rows of one logical matrix, gathered from one or more tensors in blocks.
struct MatrixSource {
  struct Block {
    const std::byte* data;  // first element of the block's first row
    DType dtype;
    int num_rows;
  };
  std::vector<Block> blocks;
  int rows = 0, cols = 0;

  bool empty() const { return rows == 0; }
  std::vector<RowRef> row_refs() const;  // `rows` of them, in order
};

// One logical vector, copied to float on use. Empty where the model has none. Parts may come from several
// tensors (q|k|v biases); a part without data stands for zeros.
struct VectorSource {
  struct Part {
    const std::byte* data;  // null: zeros
    DType dtype;
    int size;
  };
  std::vector<Part> parts;
  int size = 0;

  bool empty() const { return size == 0; }
  std::vector<float> to_f32() const;
};

struct DecoderLayerWeights {
  VectorSource attention_norm, ffn_norm;
  MatrixSource qkv, o, gate, up, down;
  VectorSource qkv_bias, o_bias, gate_bias, up_bias, down_bias;
};

struct DecoderWeights {
  MatrixSource embed;
  std::vector<DecoderLayerWeights> layers;
  VectorSource final_norm;
  MatrixSource head;  // the embedding's rows where tied; empty with a reward head
  MatrixSource reward_fc1, reward_fc2;
  VectorSource reward_fc1_bias, reward_fc2_bias;
};

struct VisionLayerWeights {
  VectorSource norm1, norm1_bias, norm2, norm2_bias;  // no biases under RMS norm
  MatrixSource qkv, proj, fc1, fc2;
  VectorSource qkv_bias, proj_bias, fc1_bias, fc2_bias;
  VectorSource q_norm, k_norm;  // over all heads together
  VectorSource scale1, scale2;  // layer scale
};

struct VisionWeights {
  MatrixSource patch_embedding;  // C rows of channels·patch·patch
  VectorSource patch_bias, class_embedding;
  MatrixSource position_embedding;  // 1 + patches rows of C
  std::vector<VisionLayerWeights> layers;
  VectorSource projector_norm, projector_norm_bias;
  MatrixSource projector_fc1, projector_fc2;
  VectorSource projector_fc1_bias, projector_fc2_bias;
};

struct WeightTable {
  DecoderWeights decoder;
  VisionWeights vision;  // empty without ModelSpec::vision
};

// Throws kInvalidModel listing ALL missing, unexpected and wrongly shaped tensors at once.
WeightTable build_weight_table(const Checkpoint& checkpoint, const ModelSpec& spec);

}  // namespace mmprm
