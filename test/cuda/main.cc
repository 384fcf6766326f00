// cuda_test [--modes LIST] [--part I/N] [FILTER…]: the emulator's own tests and every CUDA kernel's, each once per mode
// of the emulated device: asynchronous work late, early, or at random with a seed (`late,early,7,8`).
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cuda_test.h"
#include "emulator/options.h"

namespace {

struct Mode {
  std::string name;
  emu::Async async;
  uint64_t seed;
};

std::vector<Mode> parse_modes(const std::string& list) {
  std::vector<Mode> modes;
  std::istringstream in(list);
  for (std::string name; std::getline(in, name, ',');) {
    if (name == "late")
      modes.push_back({name, emu::Async::kLate, 0});
    else if (name == "early")
      modes.push_back({name, emu::Async::kEarly, 0});
    else
      modes.push_back({"seed " + name, emu::Async::kRandom, std::strtoull(name.c_str(), nullptr, 10)});
  }
  return modes;
}

}  // namespace

int main(int argc, char** argv) {
  std::string list = "late,early,1";
  std::vector<std::string> filters;
  int part = 0, parts = 1, seen = 0, passed = 0, failed = 0;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--modes") && i + 1 < argc) {
      list = argv[++i];
    } else if (!std::strcmp(argv[i], "--part") && i + 1 < argc) {
      if (std::sscanf(argv[++i], "%d/%d", &part, &parts) != 2 || part < 0 || part >= parts) {
        std::printf("--part takes I/N with 0 <= I < N\n");
        return 1;
      }
    } else {
      filters.push_back(argv[i]);
    }
  }
  for (const mmprm::NativeTest& test : mmprm::native_tests()) {
    const auto matches = [&](const std::string& filter) {
      return test.name.find(filter) != std::string::npos;
    };
    if (!filters.empty() && std::none_of(filters.begin(), filters.end(), matches)) continue;
    if (seen++ % parts != part) continue;
    for (const Mode& mode : parse_modes(list)) {
      emu::options() = {};
      emu::options().async = mode.async;
      emu::options().seed = mode.seed;
      try {
        test.body();
        ++passed;
      } catch (const std::exception& error) {
        ++failed;
        std::printf("FAILED %s [%s]\n       %s\n", test.name.c_str(), mode.name.c_str(), error.what());
      }
    }
  }
  if (passed + failed == 0) {
    std::printf("no test matches\n");
    return 1;
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
