// Tiles to rows of the tower and back: patches, class row, positions.
#include <algorithm>

#include "train/train_vision.h"

namespace mmprm {

void TrainVision::read(const std::vector<PicturePtr>& pictures) {
  size_t size = 0;
  for (const PicturePtr& picture : pictures) {
    host_pixels_.resize(std::max(host_pixels_.size(), size + picture->pixels.size()));
    normalise_tiles(*picture, 0, picture->num_tiles, &host_pixels_[size]);
    size += picture->pixels.size();
  }
  ops_.device().write(pixels_.part(0, tiles_ * spec_.channels * spec_.image_size), host_pixels_.data());
}

void TrainVision::embed() {
  const Tensor pixels = pixels_.part(0, tiles_ * spec_.channels * spec_.image_size),
               patches = patches_.part(0, tiles_ * num_patches());
  ops_.device().patches({patches, pixels, spec_.channels, spec_.patch_size});
  place_tile();
  ops_.device().repeat({rows(x_[0]), positions_});
  for (int t = 0; t < tiles_; ++t) {
    const Tensor to = x_[0].part(int64_t(t) * rows_per_tile() + 1, num_patches());
    ops_.linear(parameters_.patch_embedding, patches.part(int64_t(t) * num_patches(), num_patches()), to, to);
  }
}

void TrainVision::embed_grad() {
  const bool same = resize_.is_identity();
  const Tensor d_positions = same ? parameters_.position_embedding->gradient : d_positions_;
  const Tensor d_class = as_row(parameters_.class_embedding->gradient);
  if (!same) ops_.clear(d_positions);
  for (int t = 0; t < tiles_; ++t) {
    const Tensor d_tile = d_x_.part(int64_t(t) * rows_per_tile(), rows_per_tile());
    ops_.device_ops().add({d_positions, d_positions, d_tile});
    ops_.device_ops().add({d_class, d_class, d_tile.part(0, 1)});
    // Close the gaps of the class rows, so that one product serves all tiles.
    ops_.copy(d_tile.part(1, num_patches()), d_z_.part(int64_t(t) * num_patches(), num_patches()));
  }
  if (!same) place_tile_grad(d_positions);
  const int patches = tiles_ * num_patches();
  ops_.linear_grad_weight(parameters_.patch_embedding, patches_.part(0, patches), d_z_.part(0, patches));
}

// What a tile's rows begin with: the table of positions for its number of patches, and the class embedding.
// WHY again at every pass: a step of the optimizer changes both.
void TrainVision::place_tile() {
  const Tensor table = parameters_.position_embedding->value, first = positions_.part(0, 1);
  if (resize_.is_identity()) {
    ops_.copy(table, positions_);
  } else {
    ops_.copy(table.part(0, 1), first);
    ops_.device_ops().mix_rows({positions_.part(1, num_patches()), table, mix_.rows.data(),
                                mix_.weights.data(), PositionResize::kTaps});
  }
  ops_.device_ops().add({first, first, as_row(parameters_.class_embedding->value)});
}

void TrainVision::place_tile_grad(const Tensor& d_positions) {
  const Tensor d_table = parameters_.position_embedding->gradient, first = d_table.part(0, 1);
  ops_.device_ops().add({first, first, d_positions.part(0, 1)});
  ops_.device_ops().mix_rows_grad({d_table, d_positions.part(1, num_patches()), mix_.rows.data(),
                                   mix_.weights.data(), PositionResize::kTaps});
}

}  // namespace mmprm
