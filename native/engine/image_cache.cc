#include "engine/image_cache.h"

namespace mmprm {

std::shared_ptr<const EmbeddedImage> ImageCache::find_or_embed(
    const Picture& image, PictureGrid grid, const std::function<void(EmbeddedImage&)>& embed) {
  if (const auto found = cached_.find(image.content); found != cached_.end()) {
    ++num_hits_;
    recent_.splice(recent_.begin(), recent_, found->second);
    return found->second->second;
  }
  const uint32_t id = ids_.try_emplace(image.content, static_cast<uint32_t>(ids_.size())).first->second;
  grids_[id] = grid;
  auto fresh = std::make_shared<EmbeddedImage>(id, grid, slab_);
  embed(*fresh);
  ++num_misses_;
  num_bytes_ += fresh->num_bytes();
  recent_.emplace_front(image.content, fresh);
  cached_[image.content] = recent_.begin();
  while (num_bytes_ > max_bytes_) {
    num_bytes_ -= recent_.back().second->num_bytes();
    cached_.erase(recent_.back().first);
    recent_.pop_back();
  }
  return fresh;
}

}  // namespace mmprm
