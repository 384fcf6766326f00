#include "png.h"

#include <array>
#include <cstdlib>
#include <cstring>

#include "base/mapped_file.h"
#include "include/engine/error.h"

namespace mmprm::golden {
namespace {

using Bytes = std::vector<uint8_t>;

// Deflate (RFC 1951). A code of the alphabet is known by how many codes each length has and by its symbols in order.
class Inflate {
 public:
  Inflate(const uint8_t* data, size_t size, const std::string& path)
      : data_(data), size_(size), path_(path) {}

  Bytes run() {
    bool last = false;
    while (!last) {
      last = bits(1);
      switch (bits(2)) {
        case 0:
          copy_stored();
          break;
        case 1:
          expand(Code(fixed_lengths()), Code(Lengths(30, 5)));
          break;
        case 2:
          expand_dynamic();
          break;
        default:
          wrong("an unknown block");
      }
    }
    return std::move(out_);
  }

 private:
  using Lengths = std::vector<int>;
  struct Code {
    std::array<int, 16> counts{};
    std::vector<int> symbols;

    explicit Code(const Lengths& lengths) {
      for (int length = 1; length < 16; ++length) {
        for (size_t s = 0; s < lengths.size(); ++s) {
          if (lengths[s] == length) symbols.push_back(int(s)), ++counts[size_t(length)];
        }
      }
    }
  };

  [[noreturn]] void wrong(const std::string& what) const {
    throw Error(ErrorCode::kInvalidModel, path_ + ": " + what + " in the compressed pixels");
  }

  int bits(int count) {
    int value = 0;
    for (int i = 0; i < count; ++i, ++at_) {
      if (at_ / 8 >= size_) wrong("an early end");
      value |= (data_[at_ / 8] >> at_ % 8 & 1) << i;
    }
    return value;
  }

  int symbol(const Code& code) {
    for (int length = 1, value = 0, first = 0, before = 0; length < 16; ++length) {
      value |= bits(1);
      const int count = code.counts[size_t(length)];
      if (value - first < count) return code.symbols[size_t(before + value - first)];
      before += count, first = (first + count) << 1, value <<= 1;
    }
    wrong("an unknown code");
  }

  static Lengths fixed_lengths() {
    Lengths lengths(288, 8);
    for (int s = 144; s < 280; ++s) lengths[size_t(s)] = s < 256 ? 9 : 7;
    return lengths;
  }

  void copy_stored() {
    at_ = (at_ + 7) / 8 * 8;
    const int count = bits(16);
    bits(16);  // its complement
    for (int i = 0; i < count; ++i) out_.push_back(uint8_t(bits(8)));
  }

  void expand_dynamic() {
    constexpr int kOrder[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    const int literals = bits(5) + 257, distances = bits(5) + 1, given = bits(4) + 4;
    Lengths of_lengths(19);
    for (int i = 0; i < given; ++i) of_lengths[size_t(kOrder[i])] = bits(3);
    const Code code(of_lengths);
    Lengths lengths;
    while (int(lengths.size()) < literals + distances) {
      const int s = symbol(code);
      if (s < 16) {
        lengths.push_back(s);
        continue;
      }
      if (s == 16 && lengths.empty()) wrong("nothing to repeat");
      const int repeated = s == 16 ? lengths.back() : 0;
      lengths.insert(lengths.end(),
                     size_t(s == 16   ? 3 + bits(2)
                            : s == 17 ? 3 + bits(3)
                                      : 11 + bits(7)),
                     repeated);
    }
    expand(Code(Lengths(lengths.begin(), lengths.begin() + literals)),
           Code(Lengths(lengths.begin() + literals, lengths.end())));
  }

  // The base of a length or distance symbol: `group` symbols share a number of further bits.
  int extended(int s, int group) {
    const int more = s < 2 * group ? 0 : s / group - 1;
    const int base = s < 2 * group ? s : (group + s % group) << more;
    return base + bits(more);
  }

  void expand(const Code& literals, const Code& distances) {
    for (int s; (s = symbol(literals)) != 256;) {
      if (s < 256) {
        out_.push_back(uint8_t(s));
        continue;
      }
      const int length = s == 285 ? 258 : 3 + extended(s - 257, 4);
      const size_t distance = size_t(1 + extended(symbol(distances), 2));
      if (distance > out_.size()) wrong("a distance before the beginning");
      for (int i = 0; i < length; ++i) out_.push_back(out_[out_.size() - distance]);
    }
  }

  const uint8_t* data_;
  size_t size_, at_ = 0;  // at_: bits
  const std::string& path_;
  Bytes out_;
};

uint32_t big_endian(const uint8_t* p) { return uint32_t(p[0]) << 24 | p[1] << 16 | p[2] << 8 | p[3]; }

int nearest_of(int left, int up, int corner) {
  const int a = std::abs(up - corner), b = std::abs(left - corner), c = std::abs(left + up - 2 * corner);
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

// Each row begins with the kind of its filter.
void unfilter(const Bytes& raw, Rgb& image, const std::string& path) {
  const size_t row = size_t(image.width) * 3;
  if (raw.size() != (row + 1) * size_t(image.height))
    throw Error(ErrorCode::kInvalidModel,
                path + ": " + std::to_string(raw.size()) + " bytes of pixels are not its size");
  image.pixels.resize(row * size_t(image.height));
  for (size_t y = 0; y < size_t(image.height); ++y) {
    const uint8_t* from = raw.data() + y * (row + 1);
    uint8_t* to = image.pixels.data() + y * row;
    for (size_t x = 0; x < row; ++x) {
      const int left = x < 3 ? 0 : to[x - 3], up = y == 0 ? 0 : to[x - row],
                corner = x < 3 || y == 0 ? 0 : to[x - row - 3];
      const int guesses[5] = {0, left, up, (left + up) / 2, nearest_of(left, up, corner)};
      if (from[0] > 4) throw Error(ErrorCode::kInvalidModel, path + ": an unknown filter");
      to[x] = uint8_t(from[1 + x] + guesses[from[0]]);
    }
  }
}

}  // namespace

Rgb read_png(const std::string& path) {
  constexpr size_t kSignature = 8, kFrame = 12;  // length, kind, check
  const MappedFile file(path);
  const auto* data = reinterpret_cast<const uint8_t*>(file.data());
  Rgb image;
  Bytes packed;
  for (size_t at = kSignature; at + kFrame <= file.size();) {
    const size_t length = big_endian(data + at);
    const uint8_t *kind = data + at + 4, *body = kind + 4;
    if (length > file.size() - at - kFrame) break;
    if (!std::memcmp(kind, "IHDR", 4) && length == 13) {
      image.width = int(big_endian(body)), image.height = int(big_endian(body + 4));
      const uint8_t wanted[5] = {8, 2, 0, 0, 0};  // bits, RGB, and nothing unusual
      if (std::memcmp(body + 8, wanted, 5)) image.width = 0;
    }
    if (!std::memcmp(kind, "IDAT", 4)) packed.insert(packed.end(), body, body + length);
    at += kFrame + length;
  }
  if (image.width == 0 || packed.size() < 6)
    throw Error(ErrorCode::kInvalidModel, path + ": not a PNG of 8-bit RGB without interlacing");
  unfilter(Inflate(packed.data() + 2, packed.size() - 2, path).run(), image,
           path);  // behind zlib's two bytes
  return image;
}

}  // namespace mmprm::golden
