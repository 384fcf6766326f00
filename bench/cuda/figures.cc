#include "figures.h"

#include <algorithm>
#include <cstdio>
#include <fstream>

namespace mmprm {

double Judge::seconds_of(const Floor& floor) const {
  return has_rates() ? std::max(floor.bytes / copy_, floor.flops / matmul_) : 0;
}

// What is lost beside the floors, in milliseconds, and which part of it is the largest. Launch gaps are what a step takes
// beside its products and its attention: waits of the host, small kernels and what lies between kernels. Whether products lose
// by blocks or by bytes in flight, part 5 tells of the same matrices and rows; attention has more items than multiprocessors.
std::string Judge::costs(const Figure& f) const {
  const struct {
    const char* name;
    double seconds;
  } parts[] = {
      {"launch gaps", f.seconds - f.products - f.attention},
      {"products: blocks or bytes in flight, see part 5", f.products - seconds_of(f.of_products)},
      {"bytes in flight of attention", f.attention - seconds_of(f.of_attention)},
  };
  const auto* most = std::max_element(std::begin(parts), std::end(parts),
                                      [](const auto& a, const auto& b) { return a.seconds < b.seconds; });
  char text[256];
  std::snprintf(
      text, sizeof text,
      "\"lostMs\": {\"launchGaps\": %.4f, \"products\": %.4f, \"attention\": %.4f}, \"costsMost\": \"%s\"",
      parts[0].seconds * 1e3, parts[1].seconds * 1e3, parts[2].seconds * 1e3, most->name);
  return text;
}

void Judge::add(const Figure& f, const DeviceInfo& info) {
  const Floor whole{f.of_products.bytes + f.of_attention.bytes, f.of_products.flops + f.of_attention.flops};
  const double floor = seconds_of(whole), ratio = floor / f.seconds;
  const bool below = f.bar > 0 && ratio < f.bar;
  if (!has_rates() || below) ++failed_;
  char line[512];
  std::snprintf(
      line, sizeof line,
      "{\"case\": \"%s\", \"rows\": %d, \"ms\": %.4f, \"queuedMs\": %.4f, \"linearsMs\": %.4f, "
      "\"attentionMs\": %.4f, \"gbytes\": %.3f, \"tflops\": %.3f, \"floorMs\": %.4f, \"ofFloor\": %.4f, "
      "\"bar\": %.2f, \"rowsPerSecond\": %.1f",
      f.name.c_str(), f.rows, f.seconds * 1e3, f.queued * 1e3, f.products * 1e3, f.attention * 1e3,
      whole.bytes * 1e-9, whole.flops * 1e-12, floor * 1e3, ratio, f.bar, f.rows / f.seconds);
  const std::string text = line + (has_rates() && below ? ", " + costs(f) : "") + "}";
  std::printf("%s\n", text.c_str());
  std::fflush(stdout);
  lines_ += (lines_.empty() ? "" : ",\n  ") + text;
  if (path_.empty()) return;
  std::ofstream(path_) << "{\"part\": 6, \"device\": \"" << info.name << "\", \"copyTbs\": " << copy_ * 1e-12
                       << ", \"matmulTflops\": " << matmul_ * 1e-12 << ", \"failed\": " << failed_
                       << ",\n \"figures\": [" << lines_ << "]}\n";
}

}  // namespace mmprm
