// How the emulated device behaves. Set between launches, never during one. MMPRM_EMULATED_CHIPS=ampere in the environment
// is a beginning for programs that have no other say, such as an engine on the emulated device.
#pragma once
#include <cstddef>
#include <cstdint>

namespace emu {

// When asynchronous work happens: copies to shared memory, products, tile stores, and a stream's work as a whole.
enum class Async { kLate, kEarly, kRandom };
// What tensor cores add, by class of chips (tensor_core.h): sm_80, 86, 89, or sm_90 and later.
enum class Chips { kAmpere, kHopper };

struct Options {
  Async async = Async::kLate;
  uint64_t seed = 0;  // 0: threads run in order; else a random ready thread runs next
  Chips chips = Chips::kHopper;
  int workers = 1;  // OS threads, each with blocks of its own
  size_t device_bytes = size_t(16) << 30;
  int multiprocessors = 4;
};
Options& options();

}  // namespace emu
