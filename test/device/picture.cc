#include "picture.h"

#include "base/content_hash.h"
#include "formats/checkpoint.h"
#include "include/engine/image.h"
#include "include/engine/inspect.h"
#include "png.h"

namespace mmprm::golden {
namespace {

std::array<float, 3> channels(const Json& settings, const char* key, std::array<float, 3> otherwise) {
  if (const Json* list = settings.find(key)) {
    for (size_t c = 0; c < 3; ++c) otherwise[c] = static_cast<float>(list->items().at(c).as_double());
  }
  return otherwise;
}

}  // namespace

PictureMaker::PictureMaker(const std::string& model_folder)
    : folder_(model_folder), vision_(inspect_model(model_folder).vision) {
  const Checkpoint config = Checkpoint::open_config(model_folder);
  const Json& settings = config.preprocessor().settings;
  const Json* least = settings.find("min_patches");
  min_tiles_ = least ? int(least->as_integer()) : vision_.min_tiles;
  mean_ = channels(settings, "image_mean", {0.485f, 0.456f, 0.406f});
  std_ = channels(settings, "image_std", {0.229f, 0.224f, 0.225f});
}

PicturePtr PictureMaker::make(const std::string& file, int max_tiles) const {
  const Rgb rgb = read_png(folder_ + "/" + file);
  const RgbView view{rgb.pixels.data(), rgb.width, rgb.height};
  if (vision_.merge > 0) {
    return std::make_shared<const Picture>(resize_whole(
        view, {vision_.patch_size * vision_.merge, vision_.min_pixels, vision_.max_pixels, mean_, std_}));
  }
  return std::make_shared<const Picture>(cut_tiles(view, {vision_.image_size, std::min(min_tiles_, max_tiles),
                                                          max_tiles, vision_.use_thumbnail, mean_, std_}));
}

int PictureMaker::num_tokens(const Picture& picture) const {
  if (vision_.merge == 0) return picture.num_tiles * vision_.tokens_per_tile;
  const int side = vision_.patch_size * vision_.merge;
  return (picture.width / side) * (picture.height / side);
}

}  // namespace mmprm::golden
