// A device that lies in a library of its own (device/c_api.h), as a Device.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "device/device.h"

namespace mmprm {

// The devices of a library. Throws kNoDevice with the reason where it does not load, is of another version, or
// finds none.
std::vector<DeviceInfo> loaded_devices(const std::string& library);

// Throws kNoDevice as above, and where there is no device `ordinal`.
std::unique_ptr<Device> open_loaded_device(const std::string& library, int ordinal);

}  // namespace mmprm
