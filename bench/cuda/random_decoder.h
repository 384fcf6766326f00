// A decoder with random weights on a device: of 8B, and one that an emulator gets through.
#pragma once
#include <string>
#include <vector>

#include "device/device.h"
#include "models/decoder.h"

namespace mmprm {

// Throws kInvalidArgument for a shape that is neither "8b" nor "tiny".
DecoderSpec decoder_spec(const std::string& shape);

// Random numbers, made once; every weight row is a piece of them that begins elsewhere.
class RandomRows {
 public:
  explicit RandomRows(size_t count) : numbers_(count) {
    uint64_t state = 1;
    for (uint16_t& n : numbers_) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      // Four bytes make a nearly normal number of deviation 0.02.
      int sum = 0;
      for (int shift = 32; shift < 64; shift += 8) sum += int(state >> shift & 255);
      const float value = float(sum - 510) * (0.02f / 148.0f);
      uint32_t bits;
      static_assert(sizeof bits == sizeof value);
      __builtin_memcpy(&bits, &value, sizeof bits);
      n = uint16_t(bits >> 16);
    }
  }
  const uint16_t* data() const { return numbers_.data(); }  // BF16
  std::vector<RowRef> rows(int count, int cols) {
    std::vector<RowRef> rows;
    for (int r = 0; r < count; ++r) {
      at_ = (at_ + 7919 * 8) % (numbers_.size() - size_t(cols));
      rows.push_back({reinterpret_cast<const std::byte*>(numbers_.data() + at_), DType::kBF16});
    }
    return rows;
  }

 private:
  std::vector<uint16_t> numbers_;
  size_t at_ = 0;
};

// Says on the standard output how many bytes it packed.
PackedDecoder random_decoder(Device& device, const DecoderSpec& spec, RandomRows& random);

}  // namespace mmprm
