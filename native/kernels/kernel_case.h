// Cases of a kernel: the same shapes are checked by native_test and timed by native_bench.
//
// Each op folder defines `std::vector<KernelCase> <op>_cases()` in <op>_cases.cc, which is compiled straight
// into the two executables (in a static library the linker would drop it). kernels/ops.def names the ops.
#pragma once
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "cpu/thread_pool.h"
#include "kernels/table.h"

namespace mmprm {

enum class Roof : uint8_t { kF32Flops, kBf16Flops, kReadBandwidth };

// One prepared run of an op on its own data. `run` may be called any number of times.
struct BenchRun {
  double flops = 0, bytes = 0;  // of one call
  Roof roof = Roof::kF32Flops;  // which of the two limits it, for the percentage that is printed
  std::function<void()> run;
  std::shared_ptr<void> data;  // keeps alive what `run` refers to
};

struct KernelCase {
  std::string name;  // op, dtype and shape, such as "gemm bf16 M=512 N=4096 K=4096 store"
  // Runs the op of `kernels` and compares with the reference table (the reference table itself: with plain
  // double arithmetic or stored values). Throws CheckFailed, see require().
  std::function<void(const KernelTable& kernels)> check;
  std::function<BenchRun(const KernelTable& kernels, ThreadPool& pool)> prepare;  // empty: not timed
};

struct CheckFailed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void require(bool condition, const std::string& message) {
  if (!condition) throw CheckFailed(message);
}

#define MMPRM_OP(name, Type) std::vector<KernelCase> name##_cases();
#include "kernels/ops.def"
#undef MMPRM_OP

}  // namespace mmprm
