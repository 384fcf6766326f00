// The grid of tiles, cutting and normalising.
#include <cmath>
#include <string>

#include "include/engine/image.h"

namespace mmprm {
namespace {

[[noreturn]] void fail(const std::string& what) { throw Error(ErrorCode::kInvalidArgument, what); }

void check(const RgbView& image, const TileOptions& options) {
  if (image.width < 1 || image.height < 1) fail("an image must be at least 1 pixel wide and high");
  if (options.image_size < 1) fail("imageSize must be at least 1");
  if (options.min_tiles < 1 || options.max_tiles < options.min_tiles) {
    fail("tiles must lie between 1 <= minTiles <= maxTiles, not " + std::to_string(options.min_tiles) +
         " and " + std::to_string(options.max_tiles));
  }
}

// All normalised values of one channel: the three roundings happen here and nowhere else.
struct ChannelTable {
  float value[256];
  ChannelTable(float mean, float std) {
    for (int x = 0; x < 256; ++x) {
      const float unit = float(x) / 255.0f;
      const float centred = unit - mean;
      value[x] = centred / std;
    }
  }
};

class TileWriter {
 public:
  explicit TileWriter(const TileOptions& options)
      : side_(options.image_size),
        tables_{{options.mean[0], options.std[0]},
                {options.mean[1], options.std[1]},
                {options.mean[2], options.std[2]}} {}

  // The tile of `image` whose upper left corner is (left, top), as three planes.
  void write(const RgbView& image, int left, int top, float* out) const {
    for (int y = 0; y < side_; ++y) {
      const uint8_t* pixel = image.pixels + (size_t(top + y) * image.width + left) * 3;
      for (int x = 0; x < side_; ++x, pixel += 3, ++out) {
        for (int c = 0; c < 3; ++c) out[size_t(c) * side_ * side_] = tables_[c].value[pixel[c]];
      }
    }
  }

 private:
  int side_;
  ChannelTable tables_[3];
};

}  // namespace

TileGrid choose_tile_grid(int width, int height, const TileOptions& options) {
  check({nullptr, width, height}, options);
  const double wanted = double(width) / height, pixels = double(width) * height;
  const double half_tile = 0.5 * options.image_size * options.image_size;
  TileGrid best;
  double best_distance = INFINITY;
  for (int area = options.min_tiles; area <= options.max_tiles; ++area) {
    for (int columns = 1; columns <= area; ++columns) {
      if (area % columns != 0) continue;
      const int rows = area / columns;
      const double distance = std::abs(wanted - double(columns) / rows);
      if (distance < best_distance || (distance == best_distance && pixels > half_tile * area)) {
        best = {columns, rows};
        best_distance = distance;
      }
    }
  }
  return best;
}

ImageTiles preprocess_image(const RgbView& image, const TileOptions& options) {
  const TileGrid grid = choose_tile_grid(image.width, image.height, options);
  const int side = options.image_size, num_cut = grid.columns * grid.rows;
  const bool thumbnail = options.use_thumbnail && num_cut > 1;
  const size_t tile_floats = size_t(3) * side * side;
  ImageTiles out;
  out.num_tiles = num_cut + thumbnail;
  out.pixels.resize(size_t(out.num_tiles) * tile_floats);

  const TileWriter writer(options);
  float* target = out.pixels.data();
  const std::vector<uint8_t> whole = resize_bicubic(image, side * grid.columns, side * grid.rows);
  const RgbView resized{whole.data(), side * grid.columns, side * grid.rows};
  for (int tile = 0; tile < num_cut; ++tile, target += tile_floats) {
    writer.write(resized, tile % grid.columns * side, tile / grid.columns * side, target);
  }
  if (thumbnail) {
    const std::vector<uint8_t> small = resize_bicubic(image, side, side);
    writer.write({small.data(), side, side}, 0, 0, target);
  }
  return out;
}

}  // namespace mmprm
