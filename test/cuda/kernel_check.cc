// Runs the kernel cases on a card or on the emulator:
//
//   kernel_check [--filter WORD] [--hashes FILE] [--record FILE] [--times N] [--json FILE] [--chips ampere|hopper|blackwell]
//
// --hashes: each case must give the recorded hash, N times. --record appends to FILE. --chips: what the emulator plays.
#include <chrono>
#include <cstdlib>
#include <memory>

#include "kernels/cuda_case.h"

using namespace mmprm;
using namespace mmprm::cuda;

namespace {

struct Options {
  std::string filter, hashes, record, json, chips = "hopper";
  int times = 1;
};

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; i += 2) {
    const std::string key = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
    if (key == "--filter")
      o.filter = value;
    else if (key == "--hashes")
      o.hashes = value;
    else if (key == "--record")
      o.record = value;
    else if (key == "--json")
      o.json = value;
    else if (key == "--chips")
      o.chips = value;
    else if (key == "--times")
      o.times = std::atoi(value.c_str());
    else
      throw CheckFailed("unknown option " + key);
  }
  return o;
}

uint64_t run_case(const KernelCase& c, const Chip& chip, int times, const KernelHashes* recorded) {
  const uint64_t hash = c.run(chip);
  for (int i = 1; i < times; ++i)
    require(c.run(chip) == hash, "run " + std::to_string(i + 1) + " gave other bits");
  if (recorded) recorded->require_same(chip, c.name, hash);
  return hash;
}

std::string json_text(const std::string& text) {
  std::string out = "\"";
  for (char c : text) out += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return out + "\"";
}

int run(const Options& o) {
  const Chip chip = Chip::current();
  std::unique_ptr<KernelHashes> recorded;
  if (!o.hashes.empty()) recorded = std::make_unique<KernelHashes>(o.hashes);
  std::ofstream record;
  if (!o.record.empty()) record.open(o.record, std::ios::app);
  int ran = 0, failed = 0;
  std::string failures;
  const auto write_json = [&] {
    if (o.json.empty()) return;
    std::ofstream(o.json) << "{\"part\": 2, \"class\": \"" << chip.result_class << "\", \"cases\": " << ran
                          << ", \"times\": " << o.times << ", \"hashes\": " << (recorded ? "true" : "false")
                          << ", \"failed\": " << failed << ", \"failures\": [" << failures << "]}\n";
  };
  for (const KernelCase& c : all_kernel_cases()) {
    if (c.name.find(o.filter) == std::string::npos) continue;
    const auto begin = std::chrono::steady_clock::now();
    std::string fault;
    try {
      const uint64_t hash = run_case(c, chip, o.times, recorded.get());
      if (record.is_open())
        record << chip.result_class << " " << KernelHashes::hex(hash) << " " << c.name << "\n";
    } catch (const CheckFailed& e) {
      fault = e.what();
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    std::printf("%s %5.2f s  %s%s\n", fault.empty() ? "ok  " : "FAIL", seconds, c.name.c_str(),
                fault.empty() ? "" : (": " + fault).c_str());
    std::fflush(stdout);
    ++ran;
    if (!fault.empty()) failures += std::string(failed++ ? ", " : "") + json_text(c.name + ": " + fault);
    write_json();  // what is known stays, whatever ends this program
  }
  std::printf("%d cases, %d failed\n", ran, failed);
  return ran == 0 || failed != 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options o = parse(argc, argv);
#if MMPRM_EMULATED
    if (!emu::chips_named(o.chips, emu::options().chips)) throw CheckFailed("unknown chips " + o.chips);
#endif
    return run(o);
  } catch (const CheckFailed& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
}
