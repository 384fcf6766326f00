#include "base/cpu_features.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <thread>

#include "include/engine/error.h"

namespace mmprm {
namespace {

constexpr std::string_view kNames[] = {"reference", "avx2", "avx512", "avx512bf16"};

// Cores that the control group's quota allows; 0 where there is none. Version 2, then version 1.
int cgroup_quota() {
  long long quota = 0, period = 0;
  if (FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {
    const int read = std::fscanf(file, "%lld %lld", &quota, &period);
    std::fclose(file);
    return read == 2 && quota > 0 && period > 0 ? std::max(1, int(std::ceil(double(quota) / period))) : 0;
  }
  const auto read_one = [](const char* path, long long& value) {
    FILE* file = std::fopen(path, "r");
    if (!file) return false;
    const bool ok = std::fscanf(file, "%lld", &value) == 1;
    std::fclose(file);
    return ok;
  };
  if (!read_one("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", quota) || quota <= 0) return 0;
  if (!read_one("/sys/fs/cgroup/cpu/cpu.cfs_period_us", period) || period <= 0) return 0;
  return std::max(1, int(std::ceil(double(quota) / period)));
}

}  // namespace

std::vector<Isa> supported_isas() {
  std::vector<Isa> isas{Isa::kReference};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("f16c"))
    return isas;
  isas.push_back(Isa::kAvx2);
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq")) {
    return isas;
  }
  isas.push_back(Isa::kAvx512);
  if (__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni"))
    isas.push_back(Isa::kAvx512Bf16);
#endif
  return isas;
}

Isa detect_isa() { return supported_isas().back(); }

std::string_view isa_name(Isa isa) { return kNames[static_cast<int>(isa)]; }

Isa parse_isa(std::string_view name) {
  const auto* found = std::find(std::begin(kNames), std::end(kNames), name);
  if (found == std::end(kNames)) {
    std::string known;
    for (std::string_view n : kNames) known += (known.empty() ? "" : ", ") + std::string(n);
    throw Error(ErrorCode::kInvalidArgument,
                "unknown instruction set \"" + std::string(name) + "\"; known: " + known);
  }
  return static_cast<Isa>(found - std::begin(kNames));
}

int physical_threads() {
  int count = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) count = CPU_COUNT(&allowed);
  if (const int quota = cgroup_quota(); quota > 0) count = std::min(count, quota);
  return std::max(1, count);
}

}  // namespace mmprm
