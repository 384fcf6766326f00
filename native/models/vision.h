// InternViT -> pixel shuffle -> projector: image tiles to rows the language model can read.
//
//   x = patches · W + position;  per layer:  x += ls1 · proj · attention(qkv · norm1(x));  x += ls2 · fc2 ·
//   gelu(fc1 · norm2(x))
//
// No final norm. Tiles are independent; how many go through together changes no bits.
#pragma once
#include <vector>

#include "models/kernel_runner.h"
#include "models/packed_model.h"
#include "models/row_buffer.h"

namespace mmprm {

struct VisionOutput {
  std::vector<float> embeds;  // [tiles · tokens_per_tile, C of the language model]
  std::vector<float>
      hidden;  // [states, tiles, 1 + patches, C of vision], when asked for: embeddings, then each layer
};

class Vision {
 public:
  Vision(const PackedVision& model, DType activation_dtype);

  // pixels: [tiles, channels, image_size, image_size], normalised.
  VisionOutput forward(const float* pixels, int num_tiles, bool want_hidden, const KernelRunner& run);

 private:
  void reserve(int tiles);
  void embed_patches(const float* pixels, int tiles, const KernelRunner& run);
  void layer(const PackedVisionLayer& layer, int tiles, const KernelRunner& run);
  void norm(const std::vector<float>& weight, const std::vector<float>& bias, int first, int rows,
            const KernelRunner& run);
  void write_qkv(const PackedVisionLayer& layer, int rows, const KernelRunner& run);
  void attend(int rows, const KernelRunner& run);
  void project(int tiles, std::vector<float>& embeds, const KernelRunner& run);

  int rows_per_tile() const { return 1 + model_.spec.patches_per_side() * model_.spec.patches_per_side(); }
  int head_dim() const { return model_.spec.hidden_C / model_.spec.heads_H; }
  KvPages kv() const { return {kv_.data(), dtype_, model_.spec.heads_H, head_dim()}; }

  const PackedVision& model_;
  DType dtype_;
  int selected_;  // hidden state that goes to the projector: 0 is the embeddings
  AlignedBuffer kv_;
  std::vector<int32_t> pages_;  // of all tiles, one after the other
  std::vector<RowKeys> rows_T_;
  std::vector<Slot> slots_T_;
  std::vector<int32_t> slot_begin_T1_;
  RowBuffer x_, qkv_, patches_, normed_, mlp_, q_, attended_;
  RowBuffer shuffled_, projected_;  // projector: [tokens, factor² · C], [tokens, C of the language model]
};

}  // namespace mmprm
