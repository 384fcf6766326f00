// The one place that knows which devices there are.
#pragma once
#include <memory>
#include <string>

#include "device/device.h"

namespace mmprm {

struct DeviceOptions {
  std::string device =
      "cpu";  // "cpu", "cuda", "cuda:N", "emulated"; "auto": the first card that opens, else the CPU
  std::string library;  // of every device but the CPU; empty: not installed
  std::string isa;      // of a CPU; empty: the best this processor has
  int num_threads = 0;  // of a CPU; 0: one per usable core
};

struct OpenDevice {
  std::unique_ptr<Device> device;
  std::string why;  // it was this one
};

// Throws kInvalidArgument for options that name nothing, kNoDevice with the reason where what they name cannot be
// opened.
OpenDevice open_device(const DeviceOptions& options);

}  // namespace mmprm
