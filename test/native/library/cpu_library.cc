// The CPU as a device in a library of its own: what the border's two sides are tested with. Two devices, of which
// the second does not open.
#include "cpu/cpu_device.h"
#include "device/export.h"

namespace mmprm {
namespace {

struct Backend {
  static int32_t num_devices() { return 2; }
  static DeviceInfo describe(int32_t) { return CpuDevice(Isa::kReference, 1).info(); }
  static std::unique_ptr<Device> open(int32_t ordinal) {
    if (ordinal == 1) throw Error(ErrorCode::kOutOfMemory, "the second device is full");
    return std::make_unique<CpuDevice>(Isa::kReference, 2);
  }
  template <typename Body>
  static void call(Device&, Body&& body) {
    body();
  }
};

}  // namespace
}  // namespace mmprm

extern "C" __attribute__((visibility("default"))) const mmprm::DeviceApi* mmprm_device_api() {
  return mmprm::exported_device_api<mmprm::Backend>();
}
