// The header of one safetensors file: 8 bytes little-endian length N, N bytes of JSON, then the tensors.
// Everything in it is checked against the file, so later code may trust names, shapes and byte ranges.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/mapped_file.h"

namespace mmprm {

struct SafetensorsEntry {
  std::string name;
  std::string dtype;  // as stored: "BF16", "F16", "F32", "I64" …
  std::vector<int64_t> shape;
  size_t begin = 0, end = 0;  // bytes from the start of the file
};

// In the order of the bytes. Throws kInvalidModel (file, tensor, what is wrong) for: a header that is
// truncated, over 100 MB, not UTF-8 or not JSON; duplicate names; ranges that overlap, leave holes or pass
// the end of the file; a byte count that contradicts dtype and shape.
std::vector<SafetensorsEntry> read_safetensors_header(const MappedFile& file);

}  // namespace mmprm
