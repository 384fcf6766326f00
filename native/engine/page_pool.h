// Which key/value pages are free, and how often each one in use is referenced. Bookkeeping only: the memory
// itself is models/kv_store.h. A page is written only by who holds its one reference; others copy it first.
#pragma once
#include <cstdint>
#include <vector>

namespace mmprm {

class PagePool {
 public:
  explicit PagePool(int num_pages) : references_(num_pages, 0) {
    for (int32_t page = num_pages; page-- > 0;) free_.push_back(page);
  }

  int num_pages() const { return static_cast<int>(references_.size()); }
  int num_free() const { return static_cast<int>(free_.size()); }
  int references(int32_t page) const { return references_[page]; }

  // A page with one reference, or -1 when none is free. Low ids come first, so that memory fills from its
  // start.
  int32_t try_allocate() {
    if (free_.empty()) return -1;
    const int32_t page = free_.back();
    free_.pop_back();
    references_[page] = 1;
    return page;
  }

  void retain(int32_t page) { ++references_[page]; }
  void release(int32_t page) {
    if (--references_[page] == 0) free_.push_back(page);
  }

 private:
  std::vector<int32_t> references_;
  std::vector<int32_t> free_;  // taken from the back
};

}  // namespace mmprm
