// Which key/value pages are free, and how often each one in use is referenced. Bookkeeping only: the memory
// itself is the device's. A page is written only by who holds its one reference; others copy it first.
#pragma once
#include <cstdint>
#include <vector>

namespace mmprm {

class PagePool {
 public:
  explicit PagePool(int num_pages) : num_pages_(num_pages) {}

  int num_pages() const { return num_pages_; }
  int num_free() const {
    return num_pages_ - static_cast<int>(references_.size()) + static_cast<int>(free_.size());
  }
  int references(int32_t page) const { return references_[page]; }

  // A page with one reference, or -1 when none is free. Pages that were in use before come first, so that
  // memory is taken only as it is needed.
  int32_t try_allocate() {
    int32_t page = static_cast<int32_t>(references_.size());
    if (!free_.empty()) {
      page = free_.back();
      free_.pop_back();
    } else if (page < num_pages_) {
      references_.push_back(0);
    } else {
      return -1;
    }
    references_[page] = 1;
    return page;
  }

  void retain(int32_t page) { ++references_[page]; }
  void release(int32_t page) {
    if (--references_[page] == 0) free_.push_back(page);
  }

 private:
  int num_pages_;
  std::vector<int32_t> references_;  // of the pages that have ever been in use
  std::vector<int32_t> free_;        // among them; taken from the back
};

}  // namespace mmprm
