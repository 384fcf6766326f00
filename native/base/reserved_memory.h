// Address space that takes memory only where it was written, and gives it back while the addresses stay.
#pragma once
#include <cstddef>

namespace mmprm {

class ReservedMemory {
 public:
  // `bytes` > 0. Throws kOutOfMemory.
  explicit ReservedMemory(size_t bytes);
  ~ReservedMemory();
  ReservedMemory(const ReservedMemory&) = delete;
  ReservedMemory& operator=(const ReservedMemory&) = delete;

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  void discard() const;  // reads as zeros until it is written again

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace mmprm
