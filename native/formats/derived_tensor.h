// A matrix that no file holds: it is computed when it is wanted and forgotten when it was packed, so that a
// model of any size needs memory for one matrix at a time. Its address stays the same all the while.
#pragma once
#include <functional>

#include "base/reserved_memory.h"

namespace mmprm {

class DerivedTensor {
 public:
  // `fill` writes all `count` > 0 floats; what it reads must outlive this. Throws kOutOfMemory.
  using Fill = std::function<void(float* out)>;
  DerivedTensor(size_t count, Fill fill) : memory_(count * sizeof(float)), fill_(std::move(fill)) {}

  const std::byte* data() const { return memory_.data(); }
  size_t size_bytes() const { return memory_.size(); }
  const Fill& fill() const { return fill_; }

  // `keep`: for good.
  void make(bool keep) {
    if (!is_made_) fill_(reinterpret_cast<float*>(memory_.data()));
    is_made_ = true;
    is_kept_ |= keep;
  }
  void drop() {
    if (is_kept_) return;
    memory_.discard();
    is_made_ = false;
  }

 private:
  ReservedMemory memory_;
  Fill fill_;
  bool is_made_ = false, is_kept_ = false;
};

}  // namespace mmprm
