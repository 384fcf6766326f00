// native_bench [--json FILE] [--threads N] [FILTER]: times every kernel case that can be timed, on every
// instruction set of this processor, against the limit of the machine. A case is checked first: no correct
// result, no number. FILTER is part of "name [isa]".
// native_bench --neighbours [--json FILE] [--threads N]: all threads against one, beside busy processes.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/cpu_features.h"
#include "neighbours.h"
#include "roofs.h"

namespace mmprm {
namespace {

struct Timing {
  double median, p95, best;  // seconds on the clock
  double median_cpu;
};

struct Result {
  std::string name;
  Isa isa;
  Timing seconds;
  Roof roof;
  double rate, roof_rate;  // flops or bytes per second
  double cpu_fraction;     // of the roof, both per second of processor time
  double fraction() const { return rate / roof_rate; }
};

struct Options {
  const char* json = nullptr;
  const char* filter = nullptr;
  int threads = physical_threads();
  bool neighbours = false;
};

std::vector<KernelCase> timed_cases() {
  std::vector<KernelCase> timed;
#define MMPRM_OP(op, Type)                        \
  for (KernelCase & c : op##_cases()) {           \
    if (c.prepare) timed.push_back(std::move(c)); \
  }
#include "kernels/ops.def"
#undef MMPRM_OP
  return timed;
}

double at_fraction(std::vector<double> values, double fraction) {
  std::sort(values.begin(), values.end());
  return values[size_t(double(values.size() - 1) * fraction)];
}

Timing time_run(const BenchRun& bench) {
  constexpr double kSeconds = 0.5;
  constexpr size_t kFewest = 9, kMost = 2000;
  bench.run();
  std::vector<double> wall, cpu;
  const Seconds start = now();
  while (wall.size() < kFewest || ((now() - start).wall < kSeconds && wall.size() < kMost)) {
    const Seconds before = now();
    bench.run();
    const Seconds taken = now() - before;
    wall.push_back(taken.wall);
    cpu.push_back(taken.cpu);
  }
  return {at_fraction(wall, 0.5), at_fraction(wall, 0.95), at_fraction(wall, 0), at_fraction(cpu, 0.5)};
}

Result time_case(const KernelCase& c, Isa isa, ThreadPool& pool) {
  const KernelTable& kernels = kernel_table(isa);
  c.check(kernels);
  const BenchRun bench = c.prepare(kernels, pool);
  const RoofTime before = measure_roof(bench.roof, isa, pool);
  const Timing seconds = time_run(bench);
  const RoofTime after = measure_roof(bench.roof, isa, pool);
  const double work = bench.roof == Roof::kReadBandwidth ? bench.bytes : bench.flops;
  const double roof_wall = std::min(before.seconds.wall, after.seconds.wall);
  const double roof_cpu = std::min(before.seconds.cpu, after.seconds.cpu);
  return {c.name,
          isa,
          seconds,
          bench.roof,
          work / seconds.median,
          before.work / roof_wall,
          (work / seconds.median_cpu) / (before.work / roof_cpu)};
}

void print_result(const Result& r) {
  const char* unit = r.roof == Roof::kReadBandwidth ? "GB/s" : "GFLOP/s";
  std::printf(
      "%-58s %-10s %9.3f ms  p95 %9.3f  %6.1f %-7s %3.0f %% of %s (%.0f), %3.0f %% by processor time\n",
      r.name.c_str(), std::string(isa_name(r.isa)).c_str(), 1e3 * r.seconds.median, 1e3 * r.seconds.p95,
      r.rate / 1e9, unit, 100 * r.fraction(), roof_name(r.roof), r.roof_rate / 1e9, 100 * r.cpu_fraction);
  std::fflush(stdout);
}

std::string processor_name() {
  std::string name = "unknown";
  if (FILE* file = std::fopen("/proc/cpuinfo", "r")) {
    char line[256];
    while (std::fgets(line, sizeof line, file)) {
      const char* colon = std::strchr(line, ':');
      if (std::strncmp(line, "model name", 10) == 0 && colon) {
        name = colon + 2;
        name.erase(name.find_last_not_of("\n") + 1);
        break;
      }
    }
    std::fclose(file);
  }
  return name;
}

bool write_json(const Options& options, const std::vector<Result>& results) {
  FILE* file = std::fopen(options.json, "w");
  if (!file) return false;
  std::fprintf(file, "{\n  \"tool\": \"native_bench\",\n  \"processor\": \"%s\",\n  \"compiler\": \"%s\",\n",
               processor_name().c_str(), __VERSION__);
  std::fprintf(file, "  \"threads\": %d,\n  \"filter\": \"%s\",\n  \"results\": [", options.threads,
               options.filter ? options.filter : "");
  const char* separator = "\n";
  for (const Result& r : results) {
    std::fprintf(
        file,
        "%s    {\"name\": \"%s\", \"isa\": \"%s\", \"median_ms\": %.6g, \"p95_ms\": %.6g, \"best_ms\": %.6g, "
        "\"rate_per_s\": %.6g, \"roof\": \"%s\", \"roof_per_s\": %.6g, \"roof_fraction\": %.4f, "
        "\"roof_fraction_by_cpu_time\": %.4f}",
        separator, r.name.c_str(), std::string(isa_name(r.isa)).c_str(), 1e3 * r.seconds.median,
        1e3 * r.seconds.p95, 1e3 * r.seconds.best, r.rate, roof_name(r.roof), r.roof_rate, r.fraction(),
        r.cpu_fraction);
    separator = ",\n";
  }
  std::fprintf(file, "\n  ]\n}\n");
  return std::fclose(file) == 0;
}

bool parse_options(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const bool has_value = i + 1 < argc;
    if (std::strcmp(argv[i], "--json") == 0 && has_value) {
      options.json = argv[++i];
    } else if (std::strcmp(argv[i], "--threads") == 0 && has_value) {
      options.threads = std::atoi(argv[++i]);
    } else if (std::strcmp(argv[i], "--neighbours") == 0) {
      options.neighbours = true;
    } else if (argv[i][0] != '-' && !options.filter) {
      options.filter = argv[i];
    } else {
      return false;
    }
  }
  return options.threads >= 1;
}

bool write_neighbours(const char* path, const std::vector<NeighboursResult>& results) {
  FILE* file = std::fopen(path, "w");
  if (!file) return false;
  const char* separator = "{\n  \"results\": [\n";
  for (const NeighboursResult& r : results) {
    std::fprintf(file,
                 "%s    {\"shape\": \"%s\", \"neighbours\": %d, \"one_ms\": %.6g, \"shared_ms\": %.6g, "
                 "\"shared_p95_ms\": %.6g, \"ratio\": %.4f, \"steps\": %d}",
                 separator, r.shape, r.neighbours, r.one_ms, r.shared_ms, r.shared_p95_ms, r.ratio, r.steps);
    separator = ",\n";
  }
  std::fprintf(file, "\n  ]\n}\n");
  return std::fclose(file) == 0;
}

// Fails where sharing costs more than a fifth at any load.
int run_neighbours(const Options& options) {
  constexpr double kSeconds = 8, kMostRatio = 1.2;
  std::vector<NeighboursResult> results;
  bool failed = false;
  for (const StepShape& shape : kStepShapes) {
    for (int neighbours : {0, 1, 2, 4, 8}) {
      const NeighboursResult r = measure_neighbours(shape, neighbours, options.threads, kSeconds);
      std::printf("%-12s %d neighbours: one thread %8.1f ms, %d threads %8.1f ms, %.2f of it\n", r.shape,
                  r.neighbours, r.one_ms, options.threads, r.shared_ms, r.ratio);
      std::fflush(stdout);
      failed |= r.ratio > kMostRatio;
      results.push_back(r);
    }
  }
  if (options.json && !write_neighbours(options.json, results)) {
    std::printf("cannot write %s\n", options.json);
    return 1;
  }
  return failed ? 1 : 0;
}

int run(const Options& options) {
  ThreadPool pool(options.threads);
  std::vector<Result> results;
  int failed = 0;
  for (const KernelCase& c : timed_cases()) {
    for (Isa isa : supported_isas()) {
      const std::string label = c.name + " [" + std::string(isa_name(isa)) + "]";
      // The reference is an oracle, not something to be quick.
      if (isa == Isa::kReference || (options.filter && label.find(options.filter) == std::string::npos))
        continue;
      try {
        results.push_back(time_case(c, isa, pool));
        print_result(results.back());
      } catch (const std::exception& error) {
        ++failed;
        std::printf("FAILED %s\n       %s\n", label.c_str(), error.what());
      }
    }
  }
  if (results.empty() && !failed) std::printf("no case matches %s\n", options.filter ? options.filter : "");
  if (options.json && !write_json(options, results)) {
    std::printf("cannot write %s\n", options.json);
    return 1;
  }
  return failed || results.empty() ? 1 : 0;
}

}  // namespace
}  // namespace mmprm

int main(int argc, char** argv) {
  mmprm::Options options;
  if (!mmprm::parse_options(argc, argv, options)) {
    std::printf("usage: native_bench [--json FILE] [--threads N] [FILTER | --neighbours]\n");
    return 2;
  }
  return options.neighbours ? mmprm::run_neighbours(options) : mmprm::run(options);
}
