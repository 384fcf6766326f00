#include "cpu/page_store.h"

#include <sys/mman.h>

#include <cstring>
#include <string>

#include "include/engine/error.h"

namespace mmprm {

size_t PageStore::page_bytes(const PageShape& shape) {
  return shape.layers * KvPages{nullptr, shape.dtype, shape.heads_G, shape.head_dim_D}.page_bytes();
}

PageStore::PageStore(const PageShape& shape, int num_pages)
    : shape_(shape), layer_bytes_(page_bytes(shape) / shape.layers * num_pages) {
  void* memory = ::mmap(nullptr, layer_bytes_ * shape.layers, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    throw Error(ErrorCode::kOutOfMemory, "cannot reserve " +
                                             std::to_string(layer_bytes_ * shape.layers >> 20) +
                                             " MiB for keys and values; ask for a smaller kvCacheBytes");
  }
  memory_ = static_cast<std::byte*>(memory);
}

PageStore::~PageStore() { ::munmap(memory_, layer_bytes_ * shape_.layers); }

KvPages PageStore::layer(int l) const {
  return {memory_ + l * layer_bytes_, shape_.dtype, shape_.heads_G, shape_.head_dim_D};
}

void PageStore::apply(const PageOp& op) {
  for (int l = 0; l < shape_.layers; ++l) {
    const KvPages pages = layer(l);
    if (op.from < 0) {
      std::memset(pages.keys(op.to, 0), 0, pages.page_bytes());
    } else {
      std::memcpy(pages.keys(op.to, 0), pages.keys(op.from, 0), pages.page_bytes());
    }
  }
}

}  // namespace mmprm
