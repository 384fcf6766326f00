#include "models/kv_store.h"

#include <sys/mman.h>

#include <cstring>
#include <string>

#include "include/engine/error.h"

namespace mmprm {

size_t KvStore::page_bytes(int num_layers, int num_heads_G, int head_dim_D, DType dtype) {
  return num_layers * KvPages{nullptr, dtype, num_heads_G, head_dim_D}.page_bytes();
}

KvStore::KvStore(int num_layers, int num_heads_G, int head_dim_D, DType dtype, int num_pages)
    : num_layers_(num_layers),
      total_bytes_(page_bytes(num_layers, num_heads_G, head_dim_D, dtype) * num_pages) {
  void* memory = ::mmap(nullptr, total_bytes_, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    throw Error(ErrorCode::kOutOfMemory, "cannot reserve " + std::to_string(total_bytes_ >> 20) +
                                             " MiB for keys and values; ask for a smaller kvCacheBytes");
  }
  layers_.first = {static_cast<std::byte*>(memory), dtype, num_heads_G, head_dim_D};
  layers_.layer_stride = total_bytes_ / num_layers;
}

KvStore::~KvStore() { ::munmap(layers_.first.data, total_bytes_); }

void KvStore::clear_page(int32_t page) {
  for (int l = 0; l < num_layers_; ++l) {
    const KvPages pages = layers_.layer(l);
    std::memset(pages.keys(page, 0), 0, pages.page_bytes());
  }
}

void KvStore::copy_page(int32_t from, int32_t to) {
  for (int l = 0; l < num_layers_; ++l) {
    const KvPages pages = layers_.layer(l);
    std::memcpy(pages.keys(to, 0), pages.keys(from, 0), pages.page_bytes());
  }
}

}  // namespace mmprm
