// Figures beside their floors, and what is printed and kept of them.
#pragma once
#include <string>

#include "device/device.h"

namespace mmprm {

// What the least work takes on a card that only moves bytes, or only multiplies.
struct Floor {
  double bytes = 0, flops = 0;
};

struct Figure {
  std::string name;
  int rows = 0;
  double seconds = 0, queued = 0, linears = 0, bar = 0;
  Floor floor;
};

// Prints figures and holds them to their bars.
class Judge {
 public:
  // Of the card, in one run: bytes read and written by a copy, operations of a large product, per second; 0: not known,
  // which counts as a failure. `path`: of a JSON file, or empty.
  Judge(double copy, double matmul, const std::string& path) : copy_(copy), matmul_(matmul), path_(path) {}

  void add(const Figure& f, const DeviceInfo& info);
  int failed() const { return failed_; }

 private:
  double copy_, matmul_;
  std::string path_, lines_;
  int failed_ = 0;
};

}  // namespace mmprm
