// What a checkpoint folder holds, read from config.json and the headers of the weights alone.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "engine.h"

namespace mmprm {

struct StoredFile {
  std::string name;
  uint64_t bytes = 0;
};

struct StoredType {
  std::string dtype;  // as stored: "BF16" …
  uint64_t tensors = 0, parameters = 0;
};

struct ModelSummary {
  std::string architecture, family;
  uint64_t parameters = 0;  // stored elements; tied weights count once, saved buffers not at all
  uint64_t tensors = 0;
  uint64_t bytes = 0;  // of all weight files
  bool tied_head = false;
  std::vector<StoredType> dtypes;
  std::vector<StoredFile> files;
  DecoderInfo decoder;
  bool has_vision = false;
  VisionInfo vision;
};

// Checks names, shapes and dtypes as opening does, and throws the same errors.
ModelSummary inspect_model(const std::string& folder);

}  // namespace mmprm
