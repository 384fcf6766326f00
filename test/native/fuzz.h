// A seeded mutation loop for readers of untrusted bytes. Sanitizers find bad memory; the
// loop finds exceptions of the wrong kind and results that break the reader's promises, and
// prints the bytes that led there.
//
//   fuzz_NAME [--seconds=N | --iterations=N] [--seed=N]      exit code 1: a promise was broken
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "include/engine/error.h"

namespace mmprm {

class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  size_t below(size_t n) { return n == 0 ? 0 : random_() % n; }

  // A few changes to one of the samples. `tokens` are pieces that mean something to the reader.
  std::string mutate(const std::vector<std::string>& samples, const std::vector<std::string>& tokens) {
    std::string bytes = samples[below(samples.size())];
    for (size_t changes = 1 + below(4); changes > 0; --changes) change(bytes, samples, tokens);
    return bytes;
  }

 private:
  void change(std::string& bytes, const std::vector<std::string>& samples,
              const std::vector<std::string>& tokens) {
    const size_t at = below(bytes.size() + 1), length = below(std::min<size_t>(bytes.size() - at, 16) + 1);
    const std::string& token = tokens[below(tokens.size())];
    const std::string& other = samples[below(samples.size())];
    switch (below(7)) {
      case 0:
        bytes.insert(at, 1, static_cast<char>(random_()));
        break;
      case 1:
        bytes.erase(at, length);
        break;
      case 2:
        bytes.insert(at, bytes.substr(at, length));
        break;
      case 3:
        bytes.insert(at, token);
        break;
      case 4:
        bytes.replace(at, length, token);
        break;
      case 5:
        bytes = bytes.substr(0, at) + other.substr(below(other.size() + 1));
        break;
      default:
        if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
    }
  }

  std::mt19937_64 random_;
};

struct FuzzTarget {
  const char* name;
  std::vector<std::string> samples, tokens;
  // True where the reader took the bytes. Throws Error(kInvalidModel) where it refused them, anything else
  // where a promise is broken.
  bool (*read)(const std::string& bytes, Mutator& random);
};

inline uint64_t fuzz_option(int argc, char** argv, const char* name, uint64_t fallback) {
  const size_t length = std::strlen(name);
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], name, length) == 0) return std::strtoull(argv[i] + length, nullptr, 10);
  }
  return fallback;
}

inline void print_bytes(const std::string& bytes) {
  for (unsigned char c : bytes) std::printf(c >= 0x20 && c < 0x7f && c != '\\' ? "%c" : "\\x%02x", c);
  std::printf("\n");
}

inline int run_fuzzer(const FuzzTarget& target, int argc, char** argv) {
  using Clock = std::chrono::steady_clock;
  const uint64_t iterations = fuzz_option(argc, argv, "--iterations=", 0);
  const uint64_t seconds = fuzz_option(argc, argv, "--seconds=", 5),
                 seed = fuzz_option(argc, argv, "--seed=", 1);
  const Clock::time_point end = Clock::now() + std::chrono::seconds(seconds);
  Mutator mutator(seed);
  uint64_t done = 0, accepted = 0;
  for (; iterations > 0 ? done < iterations : Clock::now() < end; ++done) {
    // The samples themselves come first: a reader that refuses them tests nothing.
    const bool plain = done < target.samples.size();
    const std::string bytes = plain ? target.samples[done] : mutator.mutate(target.samples, target.tokens);
    std::string broken;
    try {
      accepted += target.read(bytes, mutator);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kInvalidModel || plain || error.what()[0] == '\0') broken = error.what();
    } catch (const std::exception& error) {
      broken = error.what();
    }
    if (broken.empty()) continue;
    std::printf("%s: seed %llu, iteration %llu: %s\n", target.name, static_cast<unsigned long long>(seed),
                static_cast<unsigned long long>(done), broken.c_str());
    print_bytes(bytes);
    return 1;
  }
  std::printf("%s: %llu iterations, %llu accepted, seed %llu\n", target.name,
              static_cast<unsigned long long>(done), static_cast<unsigned long long>(accepted),
              static_cast<unsigned long long>(seed));
  return accepted >= target.samples.size() ? 0 : 1;
}

}  // namespace mmprm
