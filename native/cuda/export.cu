// CUDA cards behind the C table, the one symbol of their library.
#include "cuda/cuda_device.h"
#include "device/export.h"

namespace mmprm::cuda {
namespace {

struct Backend {
  static int32_t num_devices() { return CudaDevice::count(); }
  static DeviceInfo describe(int32_t ordinal) { return CudaDevice::describe(ordinal); }
  static std::unique_ptr<Device> open(int32_t ordinal) { return std::make_unique<CudaDevice>(ordinal); }

  // After a fault nothing on a card can be trusted any more: every later call answers the same.
  template <typename Body>
  static void call(Device& device, Body&& body) {
    auto& card = static_cast<CudaDevice&>(device);
    card.enter();
    try {
      body();
    } catch (const Error& e) {
      if (e.code() == ErrorCode::kDeviceFault) card.failed(e);
      throw;
    }
  }
};

}  // namespace
}  // namespace mmprm::cuda

extern "C" __attribute__((visibility("default"))) const mmprm::DeviceApi* mmprm_device_api() {
  return mmprm::exported_device_api<mmprm::cuda::Backend>();
}
