// A whole file mapped read-only. Owns the mapping; knows nothing of what the bytes mean.
#pragma once
#include <cstddef>
#include <string>

namespace mmprm {

class MappedFile {
 public:
  // Throws kInvalidModel naming the file where it cannot be read.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  const std::byte* data() const { return data_; }  // null for an empty file
  size_t size() const { return size_; }
  bool contains(const std::byte* p) const { return data_ != nullptr && p >= data_ && p < data_ + size_; }

  // Lets go of the resident pages of [offset, offset + length); the bytes come back from disk when touched.
  // The page that holds the end stays, since the next tensor begins in it.
  void drop(size_t offset, size_t length) const;

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace mmprm
