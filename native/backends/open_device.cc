#include "backends/open_device.h"

#include "base/cpu_features.h"
#include "cpu/cpu_device.h"

namespace mmprm {

std::unique_ptr<Device> open_device(const DeviceOptions& options) {
  const Isa isa = options.isa.empty() ? detect_isa() : parse_isa(options.isa);
  const int num_threads = options.num_threads > 0 ? options.num_threads : physical_threads();
  return std::make_unique<CpuDevice>(isa, num_threads);
}

}  // namespace mmprm
