// The emulator's words to ThreadSanitizer and AddressSanitizer. This code itself is compiled without thread
// instrumentation: it marks the ranges that kernels' instructions touch, and its own bookkeeping stays unseen.
#pragma once
#include <cstddef>

#if defined(MMPRM_EMU_TSAN)
extern "C" {
void* __tsan_create_fiber(unsigned);
void __tsan_switch_to_fiber(void*, unsigned);
void* __tsan_get_current_fiber();
void __tsan_acquire(void*);
void __tsan_release(void*);
void __tsan_read_range(void*, unsigned long);
void __tsan_write_range(void*, unsigned long);
void AnnotateIgnoreReadsBegin(const char*, int);
void AnnotateIgnoreReadsEnd(const char*, int);
void AnnotateIgnoreWritesBegin(const char*, int);
void AnnotateIgnoreWritesEnd(const char*, int);
}
#define MMPRM_TSAN(...) __VA_ARGS__
#else
#define MMPRM_TSAN(...)
#endif
#if defined(MMPRM_EMU_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define MMPRM_ASAN(...) __VA_ARGS__
#else
#define MMPRM_ASAN(...)
#endif

namespace emu {

// WHY: inline functions of the standard library may be the kernels' instrumented copies.
struct Quiet {
  Quiet() { MMPRM_TSAN(AnnotateIgnoreReadsBegin("", 0); AnnotateIgnoreWritesBegin("", 0);) }
  ~Quiet() { MMPRM_TSAN(AnnotateIgnoreReadsEnd("", 0); AnnotateIgnoreWritesEnd("", 0);) }
};

// A place where order is passed on. WHY 8 bytes: the race detector tells places apart by no less.
struct alignas(8) SyncPoint {
  char place[8] = {};
  void release() { MMPRM_TSAN(__tsan_release(this);) }
  void acquire() { MMPRM_TSAN(__tsan_acquire(this);) }
};

inline void mark_read([[maybe_unused]] const void* p, [[maybe_unused]] size_t bytes) {
  MMPRM_TSAN(__tsan_read_range(const_cast<void*>(p), bytes);)
}
inline void mark_write([[maybe_unused]] void* p, [[maybe_unused]] size_t bytes) {
  MMPRM_TSAN(__tsan_write_range(p, bytes);)
}

// An agent beside the threads of a block (the copy engine, the products' view of memory), as the race detector sees it.
class Agent {
 public:
  template <typename Body>
  void act([[maybe_unused]] const Body& body) {
    MMPRM_TSAN(if (!fiber_) fiber_ = __tsan_create_fiber(0); void* self = __tsan_get_current_fiber();
               __tsan_switch_to_fiber(fiber_, 1);)
    body();
    MMPRM_TSAN(__tsan_switch_to_fiber(self, 1);)
  }

 private:
  [[maybe_unused]] void* fiber_ = nullptr;
};

}  // namespace emu
