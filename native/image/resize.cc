// Bicubic resize in fixed point. Two passes, horizontal first, each rounded and clipped to uint8; a pass that
// keeps its length is skipped. Weights are computed in double and rounded to 22 fractional bits, so that a
// sum of 8-bit pixels fits int32:
//   w(x) = (a+2)|x|³ - (a+3)|x|² + 1 for |x| < 1,  a(|x|³ - 5|x|² + 8|x| - 4) for |x| < 2,  a = -0.5
#include <algorithm>
#include <cmath>

#include "include/engine/image.h"

namespace mmprm {
namespace {

constexpr int kFractionBits = 22;
constexpr int32_t kHalf = 1 << (kFractionBits - 1);
constexpr double kCubicSupport = 2;

double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

// Which source positions make up each target position, and with which weights.
struct ResizeTaps {
  struct Span {
    int first, count;
    size_t weights_at;
  };
  std::vector<Span> spans;  // one per target position
  std::vector<int32_t> weights;
};

ResizeTaps plan_taps(int from, int to) {
  const double scale = double(from) / to, widened = std::max(scale, 1.0);
  const double support = kCubicSupport * widened, step = 1.0 / widened;
  ResizeTaps taps;
  taps.spans.reserve(size_t(to));
  std::vector<double> exact;
  for (int t = 0; t < to; ++t) {
    const double center = (t + 0.5) * scale;
    const int first = std::max(0, int(center - support + 0.5));
    const int count = std::min(from, int(center + support + 0.5)) - first;
    double sum = 0;
    exact.clear();
    for (int i = 0; i < count; ++i) {
      exact.push_back(cubic((i + first - center + 0.5) * step));
      sum += exact.back();
    }
    taps.spans.push_back({first, count, taps.weights.size()});
    for (double w : exact) {
      const double scaled = (sum != 0 ? w / sum : w) * (1 << kFractionBits);
      taps.weights.push_back(int32_t(scaled < 0 ? scaled - 0.5 : scaled + 0.5));
    }
  }
  return taps;
}

uint8_t round_and_clip(int32_t sum) { return uint8_t(std::clamp(sum >> kFractionBits, 0, 255)); }

std::vector<uint8_t> resize_rows(const RgbView& image, int to_width) {
  const ResizeTaps taps = plan_taps(image.width, to_width);
  std::vector<uint8_t> out(size_t(image.height) * to_width * 3);
  uint8_t* target = out.data();
  for (int y = 0; y < image.height; ++y) {
    const uint8_t* row = image.pixels + size_t(y) * image.width * 3;
    for (const ResizeTaps::Span& span : taps.spans) {
      const uint8_t* pixel = row + size_t(span.first) * 3;
      const int32_t* weights = taps.weights.data() + span.weights_at;
      int32_t r = kHalf, g = kHalf, b = kHalf;
      for (int i = 0; i < span.count; ++i, pixel += 3) {
        r += pixel[0] * weights[i];
        g += pixel[1] * weights[i];
        b += pixel[2] * weights[i];
      }
      *target++ = round_and_clip(r);
      *target++ = round_and_clip(g);
      *target++ = round_and_clip(b);
    }
  }
  return out;
}

std::vector<uint8_t> resize_columns(const RgbView& image, int to_height) {
  const ResizeTaps taps = plan_taps(image.height, to_height);
  const size_t row_bytes = size_t(image.width) * 3;
  std::vector<uint8_t> out(size_t(to_height) * row_bytes);
  std::vector<int32_t> sums(row_bytes);
  uint8_t* target = out.data();
  for (const ResizeTaps::Span& span : taps.spans) {
    std::fill(sums.begin(), sums.end(), kHalf);
    for (int i = 0; i < span.count; ++i) {
      const uint8_t* row = image.pixels + size_t(span.first + i) * row_bytes;
      const int32_t weight = taps.weights[span.weights_at + size_t(i)];
      for (size_t x = 0; x < row_bytes; ++x) sums[x] += row[x] * weight;
    }
    for (size_t x = 0; x < row_bytes; ++x) *target++ = round_and_clip(sums[x]);
  }
  return out;
}

}  // namespace

std::vector<uint8_t> resize_bicubic(const RgbView& image, int to_width, int to_height) {
  if (image.width < 1 || image.height < 1 || to_width < 1 || to_height < 1) {
    throw Error(ErrorCode::kInvalidArgument, "resize: width and height must be at least 1");
  }
  std::vector<uint8_t> pixels;
  RgbView current = image;
  if (to_width != image.width) {
    pixels = resize_rows(image, to_width);
    current = {pixels.data(), to_width, image.height};
  }
  if (to_height != image.height) return resize_columns(current, to_height);
  if (pixels.empty()) pixels.assign(image.pixels, image.pixels + size_t(image.width) * image.height * 3);
  return pixels;
}

}  // namespace mmprm
