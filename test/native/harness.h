// The smallest test harness: TEST(name) { … CHECK(condition); CHECK_EQ(a, b); }. A failed check throws, so
// the test ends there; native_test counts and prints, and fails when nothing ran.
#pragma once
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "include/engine/error.h"
#include "kernels/kernel_case.h"

namespace mmprm {

struct NativeTest {
  std::string name;
  std::function<void()> body;
};

inline std::vector<NativeTest>& native_tests() {
  static std::vector<NativeTest> tests;
  return tests;
}

struct RegisterTest {
  RegisterTest(const char* name, void (*body)()) { native_tests().push_back({name, body}); }
};

#define TEST(name)                                               \
  static void test_##name();                                     \
  static const RegisterTest register_##name(#name, test_##name); \
  static void test_##name()

[[noreturn]] inline void check_failed(const char* file, int line, const std::string& what) {
  throw CheckFailed(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

#define CHECK(condition)                                            \
  do {                                                              \
    if (!(condition)) check_failed(__FILE__, __LINE__, #condition); \
  } while (0)

#define CHECK_EQ(actual, expected)                                        \
  do {                                                                    \
    const auto& actual_ = (actual);                                       \
    const auto& expected_ = (expected);                                   \
    if (!(actual_ == expected_)) {                                        \
      std::ostringstream out_;                                            \
      out_ << #actual << " is " << actual_ << ", expected " << expected_; \
      check_failed(__FILE__, __LINE__, out_.str());                       \
    }                                                                     \
  } while (0)

// The expression must throw Error with this code.
#define CHECK_ERROR(expression, error_code)                                               \
  do {                                                                                    \
    bool threw_ = false;                                                                  \
    try {                                                                                 \
      (void)(expression);                                                                 \
    } catch (const Error& error_) {                                                       \
      threw_ = true;                                                                      \
      if (error_.code() != (error_code)) check_failed(__FILE__, __LINE__, error_.what()); \
    }                                                                                     \
    if (!threw_) check_failed(__FILE__, __LINE__, #expression " did not throw");          \
  } while (0)

}  // namespace mmprm
