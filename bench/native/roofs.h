// The machine's limits, measured with the same threads and in the same minutes as the kernels.
#pragma once
#include "cpu/thread_pool.h"
#include "kernels/kernel_case.h"

namespace mmprm {

// Time on the clock, and processor time of all threads: what other programs take counts only in the first.
struct Seconds {
  double wall, cpu;
};

Seconds now();
Seconds operator-(Seconds end, Seconds begin);

// Best of a few short runs: seconds for `work` flops, or bytes from memory beyond the caches.
struct RoofTime {
  double work;
  Seconds seconds;
};
RoofTime measure_roof(Roof roof, Isa isa, ThreadPool& pool);

const char* roof_name(Roof roof);  // "f32 fma", "bf16 dot", "memory read"

}  // namespace mmprm
