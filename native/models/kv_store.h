// Memory for keys and values of all layers. A page id is valid in every layer; what pages mean is decided in
// engine/. The address space is reserved at once and filled with memory as pages are first written.
// INVARIANT: every slot holds finite numbers: fresh memory is zero, and a page is cleared or copied before
// use.
#pragma once
#include "kernels/attention/attention.h"

namespace mmprm {

// stride 0: every layer overwrites the one before it, which is enough for a single pass over whole sequences.
struct KvLayers {
  KvPages first;
  size_t layer_stride = 0;  // bytes

  KvPages layer(int l) const {
    KvPages pages = first;
    pages.data += l * layer_stride;
    return pages;
  }
};

class KvStore {
 public:
  // Throws kOutOfMemory where the address space cannot be had.
  KvStore(int num_layers, int num_heads_G, int head_dim_D, DType dtype, int num_pages);
  ~KvStore();
  KvStore(const KvStore&) = delete;
  KvStore& operator=(const KvStore&) = delete;

  // Bytes of one page in all layers together.
  static size_t page_bytes(int num_layers, int num_heads_G, int head_dim_D, DType dtype);

  const KvLayers& layers() const { return layers_; }
  void clear_page(int32_t page);
  void copy_page(int32_t from, int32_t to);

 private:
  int num_layers_;
  KvLayers layers_;
  size_t total_bytes_;
};

}  // namespace mmprm
