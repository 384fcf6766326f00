// Conformance: every function of native/cuda/ptx.h on random data, on a card and in the emulator, compared bit by bit.
//
// The cases (cases_*.cu) are compiled twice: by nvcc into the program, by the C++ compiler into a library beside it. This
// header is what the program sees of either: cases by index, buffers in host memory, no CUDA type.
#pragma once
#include <cstddef>
#include <cstdint>

namespace mmprm::conformance {

// What random numbers fill a stretch of a case's input. The program varies exponents and specials by problem.
enum class Fill : uint8_t { kBf16, kF32, kBits, kSmallWholeBf16, kF64 };
enum class Compare : uint8_t { kBits, kF32, kF64 };  // F32 and F64: any NaN equals any NaN

struct Stretch {
  Fill fill = Fill::kBits;
  size_t words = 0;  // of 32 bits
};

struct CaseInfo {
  const char* name;
  const Stretch* in;  // of one problem
  int num_in;
  size_t out_words;  // of one problem
  Compare compare;
  int problems;
  int chips;  // 80: all from there on; 90: sm_90a alone
};

struct DeviceText {
  char name[256];
  int major, minor, multiprocessors, driver, runtime;
  size_t total_bytes, free_bytes, shared_bytes;
};

struct Suite {
  int num_cases;
  const CaseInfo* cases;
  // Both fill `error` (512 bytes) and return false where the device does not work.
  bool (*describe)(DeviceText* device, char* error);
  // Runs all problems of a case; `in` and `out` hold them one behind the other. Output that no kernel writes is 0xff.
  bool (*run)(int index, const uint32_t* in, uint32_t* out, char* error);
  // The emulator alone: which chips it plays (80, 90, or later ones), how late it is (0 late, 1 early, else a seed).
  void (*configure)(int chips, int mode, int workers);
};

}  // namespace mmprm::conformance

extern "C" {
const mmprm::conformance::Suite* mmprm_card_suite();
const mmprm::conformance::Suite* mmprm_emulated_suite();
}
