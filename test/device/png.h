// The golden pictures as they lie in the repository: PNG of 8-bit RGB without interlacing. No library for that is at hand
// where a card is.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace mmprm::golden {

struct Rgb {
  std::vector<uint8_t> pixels;  // [height, width, 3]
  int width = 0, height = 0;
};

// Throws kInvalidModel naming the file for what is broken or of another kind.
Rgb read_png(const std::string& path);

}  // namespace mmprm::golden
