// The one place that knows which devices there are.
#pragma once
#include <memory>
#include <string>

#include "device/device.h"

namespace mmprm {

struct DeviceOptions {
  std::string isa;      // of a CPU; empty: the best this processor has
  int num_threads = 0;  // of a CPU; 0: one per usable core
};

// Throws kInvalidArgument for options that name nothing.
std::unique_ptr<Device> open_device(const DeviceOptions& options);

}  // namespace mmprm
