// From decoded RGB to what a vision model reads: grid of tiles, resize. Pure functions that follow Pillow's resize
// and the InternVL pre-processing to the last bit (test/golden/images/README.md). Pixels are uint8, rows from top
// to bottom, R G B per pixel.
#pragma once
#include <cstdint>
#include <vector>

#include "error.h"
#include "picture.h"

namespace mmprm {

// A borrowed picture, [height, width, 3].
struct RgbView {
  const uint8_t* pixels = nullptr;
  int width = 0, height = 0;
};

struct TileOptions {
  int image_size = 0;  // side S of a tile in pixels
  int min_tiles = 1, max_tiles = 1;
  bool use_thumbnail = false;  // one more tile with the whole picture, where there are several
  std::array<float, 3> mean{0, 0, 0}, std{1, 1, 1};
};

struct TileGrid {
  int columns = 1, rows = 1;
};

// The grid of min_tiles..max_tiles whose shape is nearest to width : height; of two equally
// near ones the larger, if the picture has more than half its pixels. Throws kInvalidArgument
// where no grid fits the options.
TileGrid choose_tile_grid(int width, int height, const TileOptions& options);

// Bicubic (a = -0.5, support widened when shrinking), [to_height, to_width, 3].
std::vector<uint8_t> resize_bicubic(const RgbView& image, int to_width, int to_height);

// Tiles row by row, the thumbnail last.
Picture cut_tiles(const RgbView& image, const TileOptions& options);

// Pictures that keep their shape: both sides become multiples of `factor`, the area stays between two numbers of
// pixels.
struct WholeOptions {
  int factor = 0;
  int min_pixels = 1, max_pixels = 1;
  std::array<float, 3> mean{0, 0, 0}, std{1, 1, 1};
};

struct PictureSize {
  int width = 0, height = 0;
};

// Rounds halves to even, as the reference does. Throws kInvalidArgument where one side is more than 200 times the other.
PictureSize smart_resize(int width, int height, const WholeOptions& options);

// One tile: the whole picture, resized.
Picture resize_whole(const RgbView& image, const WholeOptions& options);

}  // namespace mmprm
