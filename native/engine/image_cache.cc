#include "engine/image_cache.h"

namespace mmprm {
namespace {

size_t bytes_of(const EmbeddedImage& image) { return image.rows.size() * sizeof(float); }

}  // namespace

std::shared_ptr<const EmbeddedImage> ImageCache::find_or_embed(
    const ImageTiles& image, const std::function<std::vector<float>()>& embed) {
  const ContentHash hash = content_hash(image.pixels.data(), image.pixels.size() * sizeof(float));
  if (const auto found = cached_.find(hash); found != cached_.end()) {
    ++num_hits_;
    recent_.splice(recent_.begin(), recent_, found->second);
    return found->second->second;
  }
  auto fresh = std::make_shared<EmbeddedImage>();
  fresh->rows = embed();
  fresh->id = ids_.try_emplace(hash, static_cast<uint32_t>(ids_.size())).first->second;
  ++num_misses_;
  num_bytes_ += bytes_of(*fresh);
  recent_.emplace_front(hash, fresh);
  cached_[hash] = recent_.begin();
  while (num_bytes_ > max_bytes_) {
    num_bytes_ -= bytes_of(*recent_.back().second);
    cached_.erase(recent_.back().first);
    recent_.pop_back();
  }
  return fresh;
}

}  // namespace mmprm
