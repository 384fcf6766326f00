#include "models/patch_pixels.h"

namespace mmprm {

PatchGrid patch_grid_of(const Picture& picture, const VisionSpec& spec) {
  return {picture.height / spec.patch_size, picture.width / spec.patch_size, spec.merge};
}

// The frames of a still picture are equal.
std::vector<float> patch_pixels(const Picture& picture, const VisionSpec& spec) {
  const PatchGrid grid = patch_grid_of(picture, spec);
  const int P = spec.patch_size;
  std::vector<float> planes(picture.tile_bytes()), out;
  normalise_tiles(picture, 0, 1, planes.data());
  out.reserve(planes.size() * spec.frames);
  for (int patch = 0; patch < grid.patches(); ++patch) {
    const PatchGrid::Place at = grid.place(patch);
    for (int i = 0; i < spec.channels * spec.frames * P; ++i) {  // lines of P pixels
      const int channel = i / (spec.frames * P), y = at.row * P + i % P;
      const float* line =
          &planes[(size_t(channel) * picture.height + y) * picture.width + size_t(at.column) * P];
      out.insert(out.end(), line, line + P);
    }
  }
  return out;
}

}  // namespace mmprm
