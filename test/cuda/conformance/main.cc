// conformance [--out FILE] [--workers N]: every case of the suite on the card and in the emulator, bit by bit.
//
// A child does the work and writes a line of JSON per case; when a case kills it or hangs, the parent notes that and
// starts another child behind that case: a fault on a card ends a process's use of it.
// Built with MMPRM_NO_CARD the card is the emulator itself, in another order: a dry run.
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "conformance/suite.h"

using namespace mmprm::conformance;

namespace {

constexpr int kHangSeconds = 20;
constexpr int kLost = 3;  // a child's exit code: its last line says what the card refused
constexpr char kCardFailed[] = ", \"ok\": false, \"card\": ";

#if defined(MMPRM_NO_CARD)
constexpr int kChips = 90;
const Suite& card() { return *mmprm_emulated_suite(); }
#else
const Suite& card() { return *mmprm_card_suite(); }
#endif
const Suite& emulated() { return *mmprm_emulated_suite(); }

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string json_text(const std::string& s) {
  std::string out = "\"";
  for (char c : s) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return out + "\"";
}

// ---- random numbers: what a problem holds depends on its number

class Numbers {
 public:
  explicit Numbers(uint32_t seed) : random_(seed) {}

  void fill(std::vector<uint32_t>& words, const Stretch& s, int problem) {
    for (size_t i = 0; i < s.words; ++i) {
      switch (s.fill) {
        case Fill::kBits:
          words.push_back(random_());
          break;
        case Fill::kF32:
          words.push_back(f32(problem));
          break;
        case Fill::kBf16:
          words.push_back(f32(problem) >> 16 | (f32(problem) & 0xffff0000u));
          break;
        case Fill::kSmallWholeBf16:
          words.push_back(whole() >> 16 | (whole() & 0xffff0000u));
          break;
        case Fill::kF64: {
          const double d = double(float_of(f32(problem))) * (1 + double(random_()) * 0x1p-40);
          uint32_t parts[2];
          std::memcpy(parts, &d, 8);
          words.push_back(parts[0]);
          words.push_back(parts[1]);
          ++i;
        }
      }
    }
  }

 private:
  static float float_of(uint32_t bits) {
    float f;
    std::memcpy(&f, &bits, 4);
    return f;
  }
  static uint32_t bits_of(float f) {
    uint32_t u;
    std::memcpy(&u, &f, 4);
    return u;
  }
  uint32_t whole() { return bits_of(float(int(random_() % 17) - 8)); }

  // Kinds of problems: near 1; exponents within 2^±3, ±12, ±60; half zeros; subnormals; close to overflow; infinities and
  // NaN among them.
  uint32_t f32(int problem) {
    const int kind = problem % 8, spreads[8] = {0, 3, 12, 60, 2, 6, 4, 3};
    const int spread = spreads[kind];
    float f = std::ldexp(normal_(random_), spread ? int(random_() % uint32_t(2 * spread + 1)) - spread : 0);
    if (kind == 4 && random_() % 2) f = random_() % 2 ? 0.0f : -0.0f;
    if (kind == 5) f = std::ldexp(f, random_() % 2 ? -128 : -60);
    if (kind == 6) f = std::ldexp(f, random_() % 4 ? 0 : 122);
    if (kind == 7 && random_() % 32 == 0) {
      const uint32_t specials[4] = {0x7f800000u, 0xff800000u, 0x7fc00000u, 0xffc00000u};
      return specials[random_() % 4];
    }
    return bits_of(f);
  }

  std::mt19937 random_;
  std::normal_distribution<float> normal_;
};

// ---- one case

bool same(const uint32_t* a, const uint32_t* b, Compare compare) {
  if (compare == Compare::kF64) {
    double x, y;
    std::memcpy(&x, a, 8);
    std::memcpy(&y, b, 8);
    return !std::memcmp(a, b, 8) || (x != x && y != y);
  }
  float x, y;
  std::memcpy(&x, a, 4);
  std::memcpy(&y, b, 4);
  return *a == *b || (compare == Compare::kF32 && x != x && y != y);
}

std::string run_case(int index) {
  const CaseInfo& c = emulated().cases[index];
  const double began = now();
  std::vector<uint32_t> in;
  Numbers numbers(uint32_t(index) * 7919 + 1);
  for (int p = 0; p < c.problems; ++p)
    for (int i = 0; i < c.num_in; ++i) numbers.fill(in, c.in[i], p);
  std::vector<uint32_t> want(c.out_words * size_t(c.problems)), got(want.size());
  std::string line = "{\"name\": " + json_text(c.name);
  char error[512] = "";
  if (!emulated().run(index, in.data(), want.data(), error))
    return line + ", \"ok\": false, \"emulator\": " + json_text(error) + "}";
  const double emulator_seconds = now() - began;
#if defined(MMPRM_NO_CARD)
  emulated().configure(kChips, 5 + index, 1);
#endif
  if (!card().run(index, in.data(), got.data(), error)) return line + kCardFailed + json_text(error) + "}";
#if defined(MMPRM_NO_CARD)
  emulated().configure(kChips, 0, 1);
#endif
  const size_t step = c.compare == Compare::kF64 ? 2 : 1;
  size_t differ = 0, first = 0;
  std::string kinds;
  for (int p = 0; p < c.problems; ++p) {
    size_t here = 0;
    for (size_t i = 0; i < c.out_words; i += step) {
      const size_t at = size_t(p) * c.out_words + i;
      if (same(&got[at], &want[at], c.compare)) continue;
      if (differ++ == 0) first = at;
      ++here;
    }
    if (here && kinds.size() < 200)
      kinds += (kinds.empty() ? "" : ", ") + std::to_string(p) + ": " + std::to_string(here);
  }
  char text[512];
  std::snprintf(
      text, sizeof text,
      ", \"ok\": %s, \"outputs\": %zu, \"differ\": %zu, \"emulatorSeconds\": %.2f, \"seconds\": %.2f",
      differ ? "false" : "true", want.size() / step, differ, emulator_seconds, now() - began);
  line += text;
  if (differ) {
    std::snprintf(text, sizeof text,
                  ", \"first\": {\"problem\": %zu, \"at\": %zu, \"card\": \"%08x\", \"emulator\": \"%08x\"}",
                  first / c.out_words, first % c.out_words, got[first], want[first]);
    line += text + (", \"differByProblem\": " + json_text(kinds));
  }
  return line + "}";
}

int child(int first, int chips, int workers) {
  emulated().configure(chips, 0, workers);
  for (int i = first; i < emulated().num_cases; ++i) {
    if (emulated().cases[i].chips == 90 && chips != 90) {  // sm_90a's code: later chips do not run it either
      std::printf("{\"name\": %s, \"ok\": true, \"skipped\": \"needs sm_%da\"}\n",
                  json_text(emulated().cases[i].name).c_str(), emulated().cases[i].chips);
    } else {
      const std::string line = run_case(i);
      std::printf("%s\n", line.c_str());
      // WHY an end: after a fault every call of this process fails.
      if (line.find(kCardFailed) != std::string::npos) return kLost;
    }
    std::fflush(stdout);
  }
  return 0;
}

// ---- the parent

struct Result {
  std::vector<std::string> lines;
  int failed = 0;
};

// One child from `first` on; returns the next case to run.
int run_child(const char* self, int first, int chips, int workers, Result& result) {
  int ends[2];
  if (pipe(ends) != 0) std::exit(2);
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(ends[1], 1);
    close(ends[0]);
    execl(self, self, "--child", std::to_string(first).c_str(), std::to_string(chips).c_str(),
          std::to_string(workers).c_str(), nullptr);
    _exit(127);
  }
  close(ends[1]);
  std::string pending;
  int next = first;
  bool hung = false;
  for (;;) {
    pollfd p{ends[0], POLLIN, 0};
    if (poll(&p, 1, kHangSeconds * 1000) == 0) {
      hung = true;
      kill(pid, SIGKILL);
      break;
    }
    char buffer[4096];
    const ssize_t n = read(ends[0], buffer, sizeof buffer);
    if (n <= 0) break;
    pending.append(buffer, size_t(n));
    for (size_t end; (end = pending.find('\n')) != std::string::npos; pending.erase(0, end + 1)) {
      const std::string line = pending.substr(0, end);
      result.lines.push_back(line);
      const bool ok = line.find("\"ok\": true") != std::string::npos;
      if (!ok) {
        ++result.failed;
        std::printf("%s\n", line.c_str());
      }
      ++next;
    }
  }
  close(ends[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  if (!hung && WIFEXITED(status) && WEXITSTATUS(status) == kLost) return next;
  if (next < emulated().num_cases && (hung || status != 0)) {
    const std::string how = hung                  ? "hung"
                            : WIFSIGNALED(status) ? "died of signal " + std::to_string(WTERMSIG(status))
                                                  : "ended with " + std::to_string(WEXITSTATUS(status));
    result.lines.push_back("{\"name\": " + json_text(emulated().cases[next].name) +
                           ", \"ok\": false, \"ended\": " + json_text(how) + "}");
    std::printf("%s\n", result.lines.back().c_str());
    ++result.failed;
    ++next;
  }
  return next;
}

int describe() {
  DeviceText d;
  char error[512] = "";
  if (!card().describe(&d, error)) {
    std::printf("{\"error\": %s}\n", json_text(error).c_str());
    return 1;
  }
  std::printf(
      "{\"name\": %s, \"computeCapability\": \"%d.%d\", \"multiprocessors\": %d, \"driver\": %d, "
      "\"runtime\": %d, "
      "\"totalBytes\": %zu, \"freeBytes\": %zu, \"sharedBytes\": %zu} %d\n",
      json_text(d.name).c_str(), d.major, d.minor, d.multiprocessors, d.driver, d.runtime, d.total_bytes,
      d.free_bytes, d.shared_bytes, d.major >= 9 ? 90 : 80);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 5 && !std::strcmp(argv[1], "--child"))
    return child(std::atoi(argv[2]), std::atoi(argv[3]), std::atoi(argv[4]));
  if (argc == 2 && !std::strcmp(argv[1], "--describe")) return describe();
  const char* out = nullptr;
  int workers = int(std::thread::hardware_concurrency());
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!std::strcmp(argv[i], "--out")) out = argv[i + 1];
    if (!std::strcmp(argv[i], "--workers")) workers = std::atoi(argv[i + 1]);
  }
  const double began = now();
  // WHY a child: this process must not hold the card while others use it.
  std::string device;
  FILE* described = popen(("'" + std::string(argv[0]) + "' --describe").c_str(), "r");
  for (char buffer[1024]; described && std::fgets(buffer, sizeof buffer, described);) device += buffer;
  const size_t space = device.rfind(' ');
  const bool usable = described && pclose(described) == 0 && space != std::string::npos;
  const int chips = usable ? std::atoi(device.c_str() + space) : 0;
  Result result;
  if (usable) {
    for (int next = 0; next < emulated().num_cases;) next = run_child(argv[0], next, chips, workers, result);
  } else {
    ++result.failed;
    std::printf("no usable device: %s\n", device.c_str());
  }
  if (out) {
    FILE* f = std::fopen(out, "w");
    if (!f) {
      std::printf("cannot write %s\n", out);
      return 2;
    }
    std::fprintf(f,
                 "{\n\"part\": \"conformance\",\n\"device\": %s,\n\"class\": \"sm%d\",\n\"seconds\": "
                 "%.1f,\n\"failed\": %d,\n\"results\": [\n",
                 usable ? device.substr(0, space).c_str() : json_text(device).c_str(), chips, now() - began,
                 result.failed);
    for (size_t i = 0; i < result.lines.size(); ++i)
      std::fprintf(f, "%s%s\n", result.lines[i].c_str(), i + 1 < result.lines.size() ? "," : "");
    std::fprintf(f, "]\n}\n");
    std::fclose(f);
  }
  const int ran = int(result.lines.size());
  std::printf("%d passed, %d failed\n", ran > result.failed ? ran - result.failed : 0, result.failed);
  return result.failed != 0;
}
