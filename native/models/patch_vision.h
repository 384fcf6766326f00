// The vision tower of the Qwen-VL models: pictures of any size in patches, two frames deep.
//
//   x = patches · W (+ positions interpolated from a table)
//   per block:  x += proj · attention(rope(qkv · norm1(x)));  x += mlp(norm2(x))
//   rows = fc2 · gelu(fc1 · norm of each patch, merge² patches joined)
//
// Rotary angles are those of a patch's row and column. Blocks but those of `whole_layers` see a window of the picture: the
// rows stand in the order of the windows while they run. After a block of `deepstack_layers` a merger of its own makes
// what is added to the language model's rows later; such rows stand behind the picture's own, column by column.
#pragma once
#include <vector>

#include "models/packed_model.h"
#include "models/patch_pixels.h"
#include "models/workspace.h"

namespace mmprm {

class PatchVision {
 public:
  using Stop = std::function<void()>;
  // F32 [rows, (1 + features) · C of the language model], which the next picture overwrites.
  using OnRows = std::function<void(const Tensor& rows)>;

  PatchVision(Device& device, const PackedVision& model, DType activation_dtype);
  ~PatchVision() { device_.release(pages_); }

  void forward(const Picture& picture, const Stop& stop, const OnRows& on_rows);
  // The same with all hidden states, [blocks + 1, patches, C], in the order of the pixels.
  std::vector<float> forward_hidden(const Picture& picture, const Stop& stop, const OnRows& on_rows);

  PatchGrid grid_of(const Picture& picture) const { return patch_grid_of(picture, model_.spec); }
  std::vector<float> pixels_of(const Picture& picture) const { return patch_pixels(picture, model_.spec); }

  int out_width() const { return model_.projector_fc2.N; }
  int num_features() const { return static_cast<int>(model_.deepstack.size()); }

 private:
  struct Rows {
    int patches = 0;
    std::vector<int32_t> order;  // patch of the pixels at each row
    StepPlan whole, windows;     // the plan's outputs bring the rows back into the pixels' order
    Staged staged;
    bool staged_whole = false;
  };
  using OnState = std::function<void()>;  // a hidden state stands in x_

  void run(const Picture& picture, const Stop& stop, const OnRows& on_rows, const OnState& on_state);
  Rows prepare(const PatchGrid& grid);
  void reserve(const Rows& rows);
  void write_angles(const Rows& rows, const PatchGrid& grid);
  void embed(const std::vector<float>& pixels, const Rows& rows, const PatchGrid& grid);
  void stage(Rows& rows, bool whole);
  void layer(const PackedVisionLayer& layer, const Staged& plan);
  Tensor in_pixel_order(const Rows& rows);
  void merge(const MergerOf<NormWeights, Linear>& merger, bool norm_first, const Tensor& x,
             const Tensor& rows);
  void norm(const NormWeights& norm, const Tensor& y, const Tensor& x);
  int head_dim() const { return model_.spec.hidden_C / model_.spec.heads_H; }

  Device& device_;
  const PackedVision& model_;
  DType dtype_;
  MergerOf<NormWeights, Linear> merger_;
  Workspace workspace_;
  Pages pages_;  // of one block, which each block overwrites
  Tensor patches_, angles_, x_, ordered_, q_, attended_;
  Tensor qkv_, normed_, mlp_;                                 // one row block
  Tensor patch_normed_, folded_, merged_, projected_, rows_;  // mergers
};

}  // namespace mmprm
