// Memory for keys and values of all layers. The address space is reserved at once and filled with memory as
// pages are first written. Layout of a page: kernels/attention/attention.h.
#pragma once
#include "device/pages.h"
#include "kernels/attention/attention.h"

namespace mmprm {

class PageStore {
 public:
  // Throws kOutOfMemory where the address space cannot be had.
  PageStore(const PageShape& shape, int num_pages);
  ~PageStore();
  PageStore(const PageStore&) = delete;
  PageStore& operator=(const PageStore&) = delete;

  // Bytes of one page in all layers together.
  static size_t page_bytes(const PageShape& shape);

  KvPages layer(int l) const;
  void apply(const PageOp& op);

 private:
  PageShape shape_;
  std::byte* memory_;
  size_t layer_bytes_;
};

}  // namespace mmprm
