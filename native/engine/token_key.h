// What stands at one position of a sequence, as one comparable number: a token id, or a row of an
// image that is known by its content. Two positions with equal keys and equal pasts have equal
// keys and values in the cache.
#pragma once
#include <cstdint>

namespace mmprm {

using TokenKey = uint64_t;

constexpr TokenKey kImageBit = TokenKey{1} << 63;

constexpr TokenKey text_key(int32_t token) { return static_cast<uint32_t>(token); }
constexpr TokenKey image_key(uint32_t image, uint32_t row) {
  return kImageBit | (TokenKey{image & 0x7fffffffu} << 32) | row;
}
constexpr bool is_image(TokenKey key) { return (key & kImageBit) != 0; }
constexpr uint32_t image_of(TokenKey key) { return static_cast<uint32_t>(key >> 32) & 0x7fffffffu; }
constexpr uint32_t image_row_of(TokenKey key) { return static_cast<uint32_t>(key); }
constexpr int32_t token_of(TokenKey key) { return static_cast<int32_t>(key); }

}  // namespace mmprm
