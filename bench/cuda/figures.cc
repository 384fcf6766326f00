#include "figures.h"

#include <algorithm>
#include <cstdio>
#include <fstream>

namespace mmprm {

void Judge::add(const Figure& f, const DeviceInfo& info) {
  const bool has_rates = copy_ > 0 && matmul_ > 0;
  const double floor = has_rates ? std::max(f.floor.bytes / copy_, f.floor.flops / matmul_) : 0;
  const double ratio = floor / f.seconds;
  if (!has_rates || (f.bar > 0 && ratio < f.bar)) ++failed_;
  char line[512];
  std::snprintf(
      line, sizeof line,
      "{\"case\": \"%s\", \"rows\": %d, \"ms\": %.4f, \"queuedMs\": %.4f, \"linearsMs\": %.4f, \"gbytes\": "
      "%.3f, "
      "\"tflops\": %.3f, \"floorMs\": %.4f, \"ofFloor\": %.4f, \"bar\": %.2f, \"rowsPerSecond\": %.1f}",
      f.name.c_str(), f.rows, f.seconds * 1e3, f.queued * 1e3, f.linears * 1e3, f.floor.bytes * 1e-9,
      f.floor.flops * 1e-12, floor * 1e3, ratio, f.bar, f.rows / f.seconds);
  std::printf("%s\n", line);
  std::fflush(stdout);
  lines_ += (lines_.empty() ? "" : ",\n  ") + std::string(line);
  if (path_.empty()) return;
  std::ofstream(path_) << "{\"part\": 6, \"device\": \"" << info.name << "\", \"copyTbs\": " << copy_ * 1e-12
                       << ", \"matmulTflops\": " << matmul_ * 1e-12 << ", \"failed\": " << failed_
                       << ",\n \"figures\": [" << lines_ << "]}\n";
}

}  // namespace mmprm
