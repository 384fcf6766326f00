// Images as the language model sees them, known by the content of their pixels. Ids name content for good: an
// image that was forgotten and comes again has its old id, so that cached keys and values still fit.
#pragma once
#include <functional>
#include <list>
#include <map>
#include <memory>

#include "base/content_hash.h"
#include "include/engine/engine.h"

namespace mmprm {

struct EmbeddedImage {
  uint32_t id = 0;
  std::vector<float> rows;  // [tiles * tokens_per_tile, C of the language model]
};

class ImageCache {
 public:
  explicit ImageCache(size_t max_bytes) : max_bytes_(max_bytes) {}

  // The cached rows, or those that `embed` returns. Least recently used ones go when the budget is exceeded;
  // whoever holds the pointer keeps them alive.
  std::shared_ptr<const EmbeddedImage> find_or_embed(const ImageTiles& image,
                                                     const std::function<std::vector<float>()>& embed);

  size_t num_bytes() const { return num_bytes_; }
  int64_t num_hits() const { return num_hits_; }
  int64_t num_misses() const { return num_misses_; }

 private:
  using Entry = std::pair<ContentHash, std::shared_ptr<const EmbeddedImage>>;

  size_t max_bytes_, num_bytes_ = 0;
  int64_t num_hits_ = 0, num_misses_ = 0;
  std::map<ContentHash, uint32_t> ids_;  // never shrinks: some forty bytes for each different image
  std::list<Entry> recent_;              // most recently used first
  std::map<ContentHash, std::list<Entry>::iterator> cached_;
};

}  // namespace mmprm
