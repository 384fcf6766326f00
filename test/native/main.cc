// native_test [--units] [--part I/N] [FILTER]: every unit test and every kernel case on every instruction set
// of this processor.
// --units leaves the kernel cases out: pure functions, which have nothing to show to ThreadSanitizer.
// --part runs one test in N, so that N processes share the work of a slow build.
#include <cstdio>
#include <cstring>

#include "base/cpu_features.h"
#include "harness.h"

namespace mmprm {
namespace {

int passed = 0, failed = 0;
int part = 0, parts = 1, seen = 0;

void run_one(const std::string& name, const char* filter, const std::function<void()>& body) {
  if (filter && name.find(filter) == std::string::npos) return;
  if (seen++ % parts != part) return;
  try {
    body();
    ++passed;
  } catch (const std::exception& error) {
    ++failed;
    std::printf("FAILED %s\n       %s\n", name.c_str(), error.what());
  }
}

std::vector<KernelCase> all_kernel_cases() {
  std::vector<KernelCase> all;
#define MMPRM_OP(op, Type)                                           \
  {                                                                  \
    const std::vector<KernelCase> cases = op##_cases();              \
    if (cases.empty()) throw CheckFailed("op " #op " has no cases"); \
    all.insert(all.end(), cases.begin(), cases.end());               \
  }
#include "kernels/ops.def"
#undef MMPRM_OP
  return all;
}

}  // namespace
}  // namespace mmprm

int main(int argc, char** argv) {
  using namespace mmprm;
  bool units = false;
  const char* filter = nullptr;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--units") == 0) {
      units = true;
    } else if (std::strcmp(argv[i], "--part") == 0) {
      if (++i == argc || std::sscanf(argv[i], "%d/%d", &part, &parts) != 2 || part < 0 || part >= parts) {
        std::printf("--part takes I/N with 0 <= I < N\n");
        return 1;
      }
    } else {
      filter = argv[i];
    }
  }
  for (const NativeTest& test : native_tests()) run_one(test.name, filter, test.body);
  for (const KernelCase& c : units ? std::vector<KernelCase>{} : all_kernel_cases()) {
    for (Isa isa : supported_isas()) {
      run_one(c.name + " [" + std::string(isa_name(isa)) + "]", filter, [&] { c.check(kernel_table(isa)); });
    }
  }
  if (passed + failed == 0) {
    std::printf("no test matches %s\n", filter ? filter : "");
    return 1;
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
