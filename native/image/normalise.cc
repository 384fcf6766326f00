#include "include/engine/picture.h"

namespace mmprm {
namespace {

// All normalised values of one channel: the three roundings happen here and nowhere else.
struct ChannelTable {
  float value[256];
  ChannelTable(float mean, float std) {
    for (int x = 0; x < 256; ++x) {
      const float unit = float(x) / 255.0f;
      const float centred = unit - mean;
      value[x] = centred / std;
    }
  }
};

}  // namespace

void normalise_tiles(const Picture& picture, int first, int count, float* planes) {
  const size_t area = size_t(picture.width) * picture.height;
  for (int channel = 0; channel < 3; ++channel) {
    const ChannelTable table(picture.mean[channel], picture.std[channel]);
    for (int tile = 0; tile < count; ++tile) {
      const uint8_t* pixel = picture.pixels.data() + size_t(first + tile) * picture.tile_bytes() + channel;
      float* plane = planes + (size_t(tile) * 3 + channel) * area;
      for (size_t i = 0; i < area; ++i) plane[i] = table.value[pixel[3 * i]];
    }
  }
}

}  // namespace mmprm
