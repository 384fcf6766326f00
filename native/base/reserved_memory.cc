#include "base/reserved_memory.h"

#include <sys/mman.h>

#include <string>

#include "include/engine/error.h"

namespace mmprm {

ReservedMemory::ReservedMemory(size_t bytes) : size_(bytes) {
  void* mapped =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED)
    throw Error(ErrorCode::kOutOfMemory, "cannot reserve " + std::to_string(bytes) + " bytes for weights");
  data_ = static_cast<std::byte*>(mapped);
}

ReservedMemory::~ReservedMemory() { ::munmap(data_, size_); }

void ReservedMemory::discard() const { ::madvise(data_, size_, MADV_DONTNEED); }

}  // namespace mmprm
