// Writes one safetensors file, tensor by tensor, and makes it durable before it takes its name.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "include/engine/types.h"

namespace mmprm {

struct TensorToWrite {
  std::string name;
  DType dtype = DType::kF32;  // F32 or BF16
  std::vector<int64_t> shape;
  std::function<std::vector<float>()> values;  // called once, when its turn comes
};

// Atomic: a temporary file beside `path`, fsync, rename, fsync of the folder. Throws
// kInvalidArgument with the system's reason (a full disk, no permission) and removes the temporary
// file; an existing file stays as it is.
void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const std::vector<std::pair<std::string, std::string>>& metadata);

}  // namespace mmprm
