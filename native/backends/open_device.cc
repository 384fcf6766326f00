#include "backends/open_device.h"

#include <charconv>

#include "backends/loaded_device.h"
#include "base/cpu_features.h"
#include "cpu/cpu_device.h"
#include "include/engine/error.h"

namespace mmprm {
namespace {

std::unique_ptr<Device> open_cpu(const DeviceOptions& options) {
  const Isa isa = options.isa.empty() ? detect_isa() : parse_isa(options.isa);
  const int num_threads = options.num_threads > 0 ? options.num_threads : physical_threads();
  return std::make_unique<CpuDevice>(isa, num_threads);
}

// -1: `name` is no card.
int ordinal_of(const std::string& name) {
  constexpr std::string_view kCuda = "cuda";
  if (name == kCuda || name == "emulated") return 0;
  if (name.rfind("cuda:", 0) != 0) return -1;
  int ordinal = -1;
  const char *begin = name.data() + kCuda.size() + 1, *end = name.data() + name.size();
  const auto [at, error] = std::from_chars(begin, end, ordinal);
  return error == std::errc() && at == end ? ordinal : -1;
}

std::unique_ptr<Device> open_card(const DeviceOptions& options, int ordinal) {
  if (options.library.empty()) {
    throw Error(ErrorCode::kNoDevice,
                "no library for the device \"" + options.device + "\" is installed; \"cpu\" needs none");
  }
  return open_loaded_device(options.library, ordinal);
}

OpenDevice open_first_card(const DeviceOptions& options) {
  try {
    const size_t count = options.library.empty() ? 1 : loaded_devices(options.library).size();
    for (size_t i = 0;; ++i) {
      try {
        return {open_card(options, static_cast<int>(i)), "the first card that opens"};
      } catch (const Error& e) {
        if (i + 1 >= count) throw;
      }
    }
  } catch (const Error& e) {
    return {open_cpu(options), std::string("no card opens: ") + e.what()};
  }
}

}  // namespace

OpenDevice open_device(const DeviceOptions& options) {
  if (options.device == "cpu") return {open_cpu(options), "asked for"};
  if (options.device == "auto") return open_first_card(options);
  const int ordinal = ordinal_of(options.device);
  if (ordinal < 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "device \"" + options.device + "\"; known: auto, cpu, cuda, cuda:N (the N-th card, from 0)");
  }
  return {open_card(options, ordinal), "asked for"};
}

}  // namespace mmprm
