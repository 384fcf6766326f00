// Figures beside their floors, and what is printed and kept of them.
#pragma once
#include <string>

#include "device/device.h"

namespace mmprm {

// What the least work takes on a card that only moves bytes, or only multiplies.
struct Floor {
  double bytes = 0, flops = 0;
};

// Seconds of a step: as an engine asks for it, where nobody waits for its result, and of its products and its attention alone.
struct Figure {
  std::string name;
  int rows = 0;
  double seconds = 0, queued = 0, products = 0, attention = 0, bar = 0;
  Floor of_products, of_attention;
};

// Prints figures and holds them to their bars; of one below its bar it says what costs it.
class Judge {
 public:
  // Of the card, in one run: bytes read and written by a copy, operations of a large product, per second; 0: not known,
  // which counts as a failure. `path`: of a JSON file, or empty.
  Judge(double copy, double matmul, const std::string& path) : copy_(copy), matmul_(matmul), path_(path) {}

  void add(const Figure& f, const DeviceInfo& info);
  int failed() const { return failed_; }

 private:
  bool has_rates() const { return copy_ > 0 && matmul_ > 0; }
  double seconds_of(const Floor& floor) const;
  std::string costs(const Figure& f) const;

  double copy_, matmul_;
  std::string path_, lines_;
  int failed_ = 0;
};

}  // namespace mmprm
