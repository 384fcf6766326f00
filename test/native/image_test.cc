// Images in isolation: what the golden pictures cannot say about edges, and what the sanitizers should see.
#include "include/engine/image.h"

#include <numeric>
#include <random>

#include "harness.h"

namespace mmprm {
namespace {

using Bytes = std::vector<uint8_t>;

// 5 x 3 pixels with full swings, where rounding and clipping between the passes show.
const Bytes kSmall = {0, 10, 255, 255, 20, 0,   128, 30,  7,   64, 250, 99, 3,   0,   200,
                      9, 8,  7,   6,   5,  4,   255, 255, 255, 0,  0,   0,  100, 100, 100,
                      1, 2,  3,   250, 1,  128, 77,  0,   60,  5,  255, 0,  90,  90,  9};
const RgbView kSmallView{kSmall.data(), 5, 3};

void check_bytes(const Bytes& actual, const Bytes& expected) {
  CHECK_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) CHECK_EQ(int(actual[i]), int(expected[i]));
}

// Expected values: Pillow 12.3.
TEST(image_resize_known_answers) {
  check_bytes(resize_bicubic(kSmallView, 2, 2), {110, 41, 78, 78, 104, 104, 97, 27, 65, 73, 122, 47});
  check_bytes(resize_bicubic(kSmallView, 5, 1),
              {4, 7, 81, 156, 8, 41, 162, 109, 120, 21, 154, 30, 67, 67, 103});
  check_bytes(resize_bicubic(kSmallView, 1, 3), {100, 67, 98, 80, 79, 79, 88, 71, 44});
  check_bytes(resize_bicubic(kSmallView, 5, 3), kSmall);
}

TEST(image_resize_keeps_flat_pictures_flat) {
  std::mt19937 random(3);
  for (int round = 0; round < 50; ++round) {
    const int from[2] = {1 + int(random() % 90), 1 + int(random() % 90)},
              to[2] = {1 + int(random() % 90), 1 + int(random() % 90)};
    const uint8_t value = uint8_t(random());
    const Bytes flat(size_t(from[0]) * from[1] * 3, value);
    const Bytes out = resize_bicubic({flat.data(), from[0], from[1]}, to[0], to[1]);
    check_bytes(out, Bytes(size_t(to[0]) * to[1] * 3, value));
  }
}

TEST(image_resize_of_a_very_long_picture) {
  const Bytes line(3 * 200000, 7);
  check_bytes(resize_bicubic({line.data(), 200000, 1}, 2, 2), Bytes(12, 7));
  check_bytes(resize_bicubic({line.data(), 1, 200000}, 2, 2), Bytes(12, 7));
}

TileOptions tiles_of(int size, int min, int max) {
  TileOptions options;
  options.image_size = size;
  options.min_tiles = min;
  options.max_tiles = max;
  return options;
}

TEST(image_grid_rules) {
  const auto is = [](int width, int height, const TileOptions& options, int columns, int rows) {
    const TileGrid grid = choose_tile_grid(width, height, options);
    CHECK_EQ(grid.columns, columns);
    CHECK_EQ(grid.rows, rows);
  };
  is(800, 400, tiles_of(448, 1, 6), 2, 1);
  // Equally near: 1 x 1 while the picture has at most half of four tiles' pixels, 2 x 2 from there on.
  is(633, 633, tiles_of(448, 1, 6), 1, 1);
  is(634, 634, tiles_of(448, 1, 6), 2, 2);
  is(1000000, 1, tiles_of(448, 1, 12), 12, 1);
  is(1, 1000000, tiles_of(448, 1, 12), 1, 12);
  is(100, 100, tiles_of(448, 2, 2), 1, 2);
  CHECK_ERROR(choose_tile_grid(0, 5, tiles_of(448, 1, 6)), ErrorCode::kInvalidArgument);
  CHECK_ERROR(choose_tile_grid(5, 5, tiles_of(448, 3, 2)), ErrorCode::kInvalidArgument);
  CHECK_ERROR(choose_tile_grid(5, 5, tiles_of(0, 1, 1)), ErrorCode::kInvalidArgument);
  CHECK_ERROR(resize_bicubic(kSmallView, 0, 3), ErrorCode::kInvalidArgument);
}

// A picture that needs no resize: every pixel must come out at its place, channel first.
TEST(image_tiles_lie_row_by_row) {
  Bytes pixels(3 * 6 * 4);
  std::iota(pixels.begin(), pixels.end(), uint8_t(0));
  TileOptions options = tiles_of(2, 6, 6);
  options.use_thumbnail = true;
  const Picture tiles = cut_tiles({pixels.data(), 6, 4}, options);
  CHECK_EQ(tiles.num_tiles, 7);
  CHECK_EQ(tiles.pixels.size(), size_t(7 * 3 * 2 * 2));
  std::vector<float> planes(tiles.pixels.size());
  normalise_tiles(tiles, 0, 7, planes.data());
  for (int tile = 0; tile < 6; ++tile) {
    for (int i = 0; i < 12; ++i) {
      const int channel = i / 4, y = tile / 3 * 2 + i / 2 % 2, x = tile % 3 * 2 + i % 2;
      CHECK_EQ(planes[size_t(tile * 12 + i)], float(pixels[size_t((y * 6 + x) * 3 + channel)]) / 255.0f);
    }
  }
}

TEST(image_content_names_pixels_sizes_and_normalisation) {
  Bytes pixels(3 * 4 * 4, 9);
  const TileOptions options = tiles_of(2, 4, 4);
  const auto content = [&](int width, int height, const TileOptions& o) {
    return cut_tiles({pixels.data(), width, height}, o).content;
  };
  const auto plain = content(4, 4, options);
  CHECK(plain == content(4, 4, options));
  TileOptions other = options;
  other.mean[1] = 0.5f;
  CHECK(plain != content(4, 4, other));
  other = options;
  other.std[2] = 0.5f;
  CHECK(plain != content(4, 4, other));
  CHECK(plain != content(4, 4, tiles_of(4, 1, 1)));  // the same bytes as one tile
  pixels[47] ^= 1;
  CHECK(plain != content(4, 4, options));
}

}  // namespace
}  // namespace mmprm
