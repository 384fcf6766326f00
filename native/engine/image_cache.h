// Images as the language model sees them, known by the content of their pictures. Ids name content for good: an
// image that was forgotten and comes again has its old id, so that cached keys and values still fit.
#pragma once
#include <algorithm>
#include <functional>
#include <list>
#include <map>
#include <memory>

#include "engine/image_slab.h"
#include "engine/picture_axes.h"
#include "include/engine/engine.h"

namespace mmprm {

// Holds its rows in the slab while it lives.
class EmbeddedImage {
 public:
  // grid: where rows are turned by their place; else nothing.
  EmbeddedImage(uint32_t id, PictureGrid grid, ImageSlab& slab) : id(id), grid(grid), slab_(slab) {}
  ~EmbeddedImage() {
    for (int32_t first : tiles_) slab_.take_back(first);
  }
  EmbeddedImage(const EmbeddedImage&) = delete;
  EmbeddedImage& operator=(const EmbeddedImage&) = delete;

  // Tile by tile: only what is added last may fill less than its block.
  void add_rows(const Tensor& rows) {
    const int block = slab_.rows_per_tile();
    for (int first = 0; first < rows.rows; first += block)
      tiles_.push_back(slab_.put(rows.part(first, std::min(block, rows.rows - first))));
    num_rows_ += rows.rows;
  }
  uint32_t num_rows() const { return num_rows_; }
  size_t num_bytes() const { return tiles_.size() * slab_.tile_bytes(); }
  // Row of the slab for row `row` of the image.
  int32_t slab_row(uint32_t row) const {
    return tiles_[row / slab_.rows_per_tile()] + int32_t(row % slab_.rows_per_tile());
  }

  const uint32_t id;
  const PictureGrid grid;

 private:
  ImageSlab& slab_;
  uint32_t num_rows_ = 0;
  std::vector<int32_t> tiles_;  // first row of each
};

class ImageCache {
 public:
  ImageCache(size_t max_bytes, ImageSlab& slab) : max_bytes_(max_bytes), slab_(slab) {}

  // The cached image, or one whose rows `embed` adds. `grid`: see EmbeddedImage. Least recently used ones go when the budget is exceeded;
  // whoever holds the pointer keeps them alive.
  std::shared_ptr<const EmbeddedImage> find_or_embed(const Picture& image, PictureGrid grid,
                                                     const std::function<void(EmbeddedImage&)>& embed);

  const PictureGrids& grids() const { return grids_; }  // of all images there ever were
  size_t num_bytes() const { return num_bytes_; }
  int64_t num_hits() const { return num_hits_; }
  int64_t num_misses() const { return num_misses_; }

 private:
  using Content = decltype(Picture::content);
  using Entry = std::pair<Content, std::shared_ptr<const EmbeddedImage>>;

  size_t max_bytes_, num_bytes_ = 0;
  ImageSlab& slab_;
  int64_t num_hits_ = 0, num_misses_ = 0;
  PictureGrids grids_;
  std::map<Content, uint32_t> ids_;  // never shrinks: some forty bytes for each different image
  std::list<Entry> recent_;          // most recently used first
  std::map<Content, std::list<Entry>::iterator> cached_;
};

}  // namespace mmprm
