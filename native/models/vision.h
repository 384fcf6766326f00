// InternViT -> pixel shuffle -> projector: image tiles to rows the language model can read.
//
//   x = patches · W + position
//   per layer:  x += ls1 · proj · attention(qkv · norm1(x));  x += ls2 · fc2 · gelu(fc1 · norm2(x))
//
// No final norm. Tiles are independent; how many go through together changes no bits.
#pragma once
#include <vector>

#include "include/engine/picture.h"
#include "models/packed_model.h"
#include "models/workspace.h"

namespace mmprm {

class Vision {
 public:
  using Stop = std::function<void()>;

  Vision(Device& device, const PackedVision& model, DType activation_dtype);
  ~Vision() { device_.release(pages_); }

  // The picture's tiles have image_size pixels a side. on_rows is told the F32 rows of the tiles from `first_tile`
  // on, [tiles · tokens_per_tile, C of the language model], which the next tiles overwrite.
  using OnRows = std::function<void(int first_tile, const Tensor& rows)>;
  void forward(const Picture& picture, const Stop& stop, const OnRows& on_rows);

  // The same with all hidden states: [states, tiles, 1 + patches, C]: embeddings, then each layer's output.
  std::vector<float> forward_hidden(const Picture& picture, const Stop& stop, const OnRows& on_rows);

  int out_width() const { return model_.projector_fc2.N; }

 private:
  struct Pass {
    Staged plan;
    int tiles;
    bool want_hidden;
  };

  void for_tiles(const Picture& picture, bool want_hidden, const Stop& stop,
                 const std::function<void(const Pass&, int first_tile)>& done);
  Pass prepare(const Picture& picture, int first_tile, int tiles, bool want_hidden);
  void compute(const Pass& pass);
  void embed_patches(int tiles);
  void layer(const PackedVisionLayer& layer, const Pass& pass);
  void write_qkv(const PackedVisionLayer& layer, const Pass& pass);
  void project(int tiles);
  void norm(const NormWeights& norm, const Tensor& y, const Tensor& x);

  int num_patches() const { return model_.spec.patches_per_side() * model_.spec.patches_per_side(); }
  int rows_per_tile() const { return 1 + num_patches(); }
  int head_dim() const { return model_.spec.hidden_C / model_.spec.heads_H; }

  Device& device_;
  const PackedVision& model_;
  DType dtype_;
  int selected_;  // hidden state that goes to the projector: 0 is the embeddings
  Workspace workspace_;
  Pages pages_;                    // of one layer, which each layer overwrites
  std::vector<float> normalised_;  // pixels on their way to the device
  Tensor pixels_, patches_, x_, q_, attended_, hidden_;
  Tensor qkv_, normed_, mlp_;                    // one row block
  Tensor folded_, shuffled_, projected_, rows_;  // projector
};

}  // namespace mmprm
