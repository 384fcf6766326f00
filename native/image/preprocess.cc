// The grid of tiles, and cutting.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "base/content_hash.h"
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

// The tile of `image` whose upper left corner is (left, top).
void copy_tile(const RgbView& image, int left, int top, int side, uint8_t* to) {
  const size_t row_bytes = size_t(side) * 3;
  for (int y = 0; y < side; ++y, to += row_bytes)
    std::memcpy(to, image.pixels + (size_t(top + y) * image.width + left) * 3, row_bytes);
}

// WHY all of them: the same pixels under another normalisation, or in tiles of another shape, are another picture.
std::array<uint64_t, 2> content_of(const Picture& p) {
  const ContentHash pixels = content_hash(p.pixels.data(), p.pixels.size());
  struct {
    uint64_t low, high;
    int32_t sizes[4];
    std::array<float, 3> mean, std;
  } all{pixels.low, pixels.high, {p.num_tiles, p.width, p.height, 0}, p.mean, p.std};
  static_assert(sizeof all == 2 * sizeof(uint64_t) + 4 * sizeof(int32_t) + 6 * sizeof(float));
  const ContentHash hash = content_hash(&all, sizeof all);
  return {hash.low, hash.high};
}

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

Picture cut_tiles(const RgbView& image, const TileOptions& options) {
  const TileGrid grid = choose_tile_grid(image.width, image.height, options);
  const int side = options.image_size, num_cut = grid.columns * grid.rows;
  const bool thumbnail = options.use_thumbnail && num_cut > 1;
  Picture out;
  out.num_tiles = num_cut + thumbnail;
  out.width = out.height = side;
  out.mean = options.mean;
  out.std = options.std;
  out.pixels.resize(size_t(out.num_tiles) * out.tile_bytes());

  uint8_t* target = out.pixels.data();
  const std::vector<uint8_t> whole = resize_bicubic(image, side * grid.columns, side * grid.rows);
  const RgbView resized{whole.data(), side * grid.columns, side * grid.rows};
  for (int tile = 0; tile < num_cut; ++tile, target += out.tile_bytes())
    copy_tile(resized, tile % grid.columns * side, tile / grid.columns * side, side, target);
  if (thumbnail) {
    const std::vector<uint8_t> small = resize_bicubic(image, side, side);
    std::copy(small.begin(), small.end(), target);
  }
  out.content = content_of(out);
  return out;
}

PictureSize smart_resize(int width, int height, const WholeOptions& options) {
  constexpr double kMaxRatio = 200;
  if (width < 1 || height < 1) fail("an image must be at least 1 pixel wide and high");
  if (options.factor < 1 || options.min_pixels < 1 || options.max_pixels < options.min_pixels)
    fail("pictures need a factor and 1 <= minPixels <= maxPixels");
  if (std::max(width, height) > kMaxRatio * std::min(width, height)) {
    fail("an image of " + std::to_string(width) + " x " + std::to_string(height) +
         " pixels: one side may be 200 times the other at most");
  }
  const double factor = options.factor, area = double(width) * height;
  double w = std::nearbyint(width / factor) * factor, h = std::nearbyint(height / factor) * factor;
  if (w * h > options.max_pixels) {
    const double beta = std::sqrt(area / options.max_pixels);
    w = std::max(factor, std::floor(width / beta / factor) * factor);
    h = std::max(factor, std::floor(height / beta / factor) * factor);
  } else if (w * h < options.min_pixels) {
    const double beta = std::sqrt(options.min_pixels / area);
    w = std::ceil(width * beta / factor) * factor;
    h = std::ceil(height * beta / factor) * factor;
  }
  return {static_cast<int>(w), static_cast<int>(h)};
}

Picture resize_whole(const RgbView& image, const WholeOptions& options) {
  const PictureSize size = smart_resize(image.width, image.height, options);
  Picture out;
  out.num_tiles = 1;
  out.width = size.width;
  out.height = size.height;
  out.mean = options.mean;
  out.std = options.std;
  out.pixels = resize_bicubic(image, size.width, size.height);
  out.content = content_of(out);
  return out;
}

}  // namespace mmprm
