// A picture as a vision model reads it, in bytes: what crosses into native code once and is shared by all requests.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace mmprm {

// Tiles of one size, already cut and resized; how many, and how large, is the family's rule (image.h has one maker
// for each). Values are normalised where they are read.
struct Picture {
  std::vector<uint8_t> pixels;  // [num_tiles, height, width, 3]
  int num_tiles = 0, width = 0, height = 0;
  std::array<float, 3> mean{0, 0, 0}, std{1, 1, 1};  // per channel, of values in [0, 1]
  std::array<uint64_t, 2> content{};                 // equal for equal pixels, sizes and normalisation

  size_t tile_bytes() const { return size_t(3) * width * height; }
};
using PicturePtr = std::shared_ptr<const Picture>;

// Tiles [first, first + count) as channel planes [count, 3, height, width]: ((x / 255) - mean) / std, each step
// rounded to float32.
void normalise_tiles(const Picture& picture, int first, int count, float* planes);

}  // namespace mmprm
