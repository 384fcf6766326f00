// What this processor can run. Reads cpuid (through the compiler's own probe, which also checks that the
// operating system saves the wide registers), never the environment.
#pragma once
#include <string_view>
#include <vector>

#include "include/engine/types.h"

namespace mmprm {

Isa detect_isa();                      // the best one
std::vector<Isa> supported_isas();     // rising, starts with kReference
std::string_view isa_name(Isa isa);    // "reference", "avx2", "avx512", "avx512bf16"
Isa parse_isa(std::string_view name);  // throws kInvalidArgument, naming the known ones
int physical_threads();                // usable cores of this process (affinity and cgroup quota respected)

}  // namespace mmprm
