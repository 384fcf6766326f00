// How the emulated device behaves. Set between launches, never during one. MMPRM_EMULATED_CHIPS in the environment (ampere,
// hopper, blackwell) is a beginning for programs that have no other say, such as an engine on the emulated device.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace emu {

// When asynchronous work happens: copies to shared memory, products, tile stores, and a stream's work as a whole.
enum class Async { kLate, kEarly, kRandom };
// sm_80, 86 and 89; sm_90; sm_100 and 120, whose tensor cores add as Hopper's (tensor_core.h). TMA, stmatrix, wgmma and setmaxnreg
// as kernels use them are Hopper's alone.
enum class Chips { kAmpere, kHopper, kBlackwell };
// False where no chips are called so.
bool chips_named(std::string_view name, Chips& chips);

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
