// The tensors of a checkpoint under canonical names and in canonical row order, whatever its layout:
//   qkv = all query heads | all key heads | all value heads, each head-major.
// Views point into the mapped files; nothing is copied here. A row is K contiguous stored elements.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "device/tensor.h"
#include "formats/checkpoint.h"
#include "models/layers.h"
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
  std::shared_ptr<std::vector<float>> made;  // what the blocks lie in where no file has the matrix so

  bool empty() const { return rows == 0; }
  size_t num_bytes() const;
  std::vector<RowRef> row_refs() const;  // `rows` of them, in order
  std::vector<float> to_f32() const;
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

struct NormSource {
  VectorSource weight, bias;  // no bias: an RMS norm
  float eps = 0;

  bool empty() const { return weight.empty(); }
};

struct LinearSource {
  MatrixSource weight;
  VectorSource bias;
  bool gated = false;  // all gate rows, then all up rows

  bool empty() const { return weight.empty(); }
};

using DecoderLayerWeights = DecoderLayerOf<NormSource, LinearSource>;
using DecoderWeights = DecoderOf<NormSource, LinearSource, MatrixSource>;
using VisionLayerWeights = VisionLayerOf<NormSource, LinearSource, VectorSource>;
using VisionWeights = VisionOf<NormSource, LinearSource, VectorSource, MatrixSource>;

struct WeightTable {
  DecoderWeights decoder;
  VisionWeights vision;  // empty without ModelSpec::vision
};

// Throws kInvalidModel listing ALL missing, unexpected and wrongly shaped tensors at once.
WeightTable build_weight_table(const Checkpoint& checkpoint, const ModelSpec& spec);

}  // namespace mmprm
