// Images as the language model sees them, known by the content of their pictures. Ids name content for good: an
// image that was forgotten and comes again has its old id, so that cached keys and values still fit.
#pragma once
#include <functional>
#include <list>
#include <map>
#include <memory>

#include "engine/image_slab.h"
#include "include/engine/engine.h"

namespace mmprm {

// Holds its rows in the slab while it lives.
class EmbeddedImage {
 public:
  EmbeddedImage(uint32_t id, ImageSlab& slab) : id(id), slab_(slab) {}
  ~EmbeddedImage() {
    for (int32_t first : tiles_) slab_.take_back(first);
  }
  EmbeddedImage(const EmbeddedImage&) = delete;
  EmbeddedImage& operator=(const EmbeddedImage&) = delete;

  void add_tile(const Tensor& rows) { tiles_.push_back(slab_.put(rows)); }
  uint32_t num_rows() const { return uint32_t(tiles_.size()) * slab_.rows_per_tile(); }
  size_t num_bytes() const { return tiles_.size() * slab_.tile_bytes(); }
  // Row of the slab for row `row` of the image.
  int32_t slab_row(uint32_t row) const {
    return tiles_[row / slab_.rows_per_tile()] + int32_t(row % slab_.rows_per_tile());
  }

  const uint32_t id;

 private:
  ImageSlab& slab_;
  std::vector<int32_t> tiles_;  // first row of each
};

class ImageCache {
 public:
  ImageCache(size_t max_bytes, ImageSlab& slab) : max_bytes_(max_bytes), slab_(slab) {}

  // The cached image, or one whose tiles `embed` adds. Least recently used ones go when the budget is exceeded;
  // whoever holds the pointer keeps them alive.
  std::shared_ptr<const EmbeddedImage> find_or_embed(const Picture& image,
                                                     const std::function<void(EmbeddedImage&)>& embed);

  size_t num_bytes() const { return num_bytes_; }
  int64_t num_hits() const { return num_hits_; }
  int64_t num_misses() const { return num_misses_; }

 private:
  using Content = decltype(Picture::content);
  using Entry = std::pair<Content, std::shared_ptr<const EmbeddedImage>>;

  size_t max_bytes_, num_bytes_ = 0;
  ImageSlab& slab_;
  int64_t num_hits_ = 0, num_misses_ = 0;
  std::map<Content, uint32_t> ids_;  // never shrinks: some forty bytes for each different image
  std::list<Entry> recent_;          // most recently used first
  std::map<Content, std::list<Entry>::iterator> cached_;
};

}  // namespace mmprm
