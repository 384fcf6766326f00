// Every kernel case as a test, on both classes of chips, the second with Hopper's kernels and with those that later chips run:
// it checks itself, and its hash must be the recorded one of its class.
#include "cuda_test.h"
#include "emulator/options.h"
#include "kernels/cuda_case.h"

namespace mmprm::cuda {
namespace {

void run_case(const KernelCase& c, emu::Chips chips) {
  // sm_80's code alone: one mode will do.
  if (chips != emu::Chips::kHopper && emu::options().async != emu::Async::kLate) return;
  emu::options().chips = chips;
  static const KernelHashes recorded(MMPRM_KERNEL_HASHES);
  const Chip chip = Chip::current();
  recorded.require_same(chip, c.name, c.run(chip));
}

const bool registered = [] {
  for (const KernelCase& c : all_kernel_cases()) {
    native_tests().push_back({"cuda_case sm90 " + c.name, [c] { run_case(c, emu::Chips::kHopper); }});
    native_tests().push_back({"cuda_case sm80 " + c.name, [c] { run_case(c, emu::Chips::kAmpere); }});
    // Of others the code is one on all chips, and their tensor cores add as Hopper's.
    if (c.name.starts_with("gemm bf16") || c.name.starts_with("attention bf16"))
      native_tests().push_back({"cuda_case sm120 " + c.name, [c] { run_case(c, emu::Chips::kBlackwell); }});
  }
  return true;
}();

}  // namespace
}  // namespace mmprm::cuda
