// Pages of keys and values: the unit that scheduler and device share. A page holds kPageTokens consecutive
// positions in every layer; how it is laid out is the device's own business.
#pragma once
#include "include/engine/types.h"

namespace mmprm {

constexpr int kPageTokens = 16;
constexpr int kMaxHeadDim = 256;  // D is even and at most this

struct PageShape {
  int32_t layers = 0, heads_G = 0, head_dim_D = 0;
  DType dtype = DType::kF32;
};

// A pool of pages on a device. INVARIANT: every slot holds finite numbers: fresh pages are zero, and a page
// that was in use is cleared or copied over before it is used again.
struct Pages {
  uint32_t id = 0;
  int32_t count = 0;
  PageShape shape;
};

// The keys that a row sees: those of the first num_keys positions, in pages[first], pages[first + 1] … of the
// plan. Rows of one sequence share a run.
struct KeyRun {
  int32_t first = 0;
  int32_t num_keys = 0;  // at least 1
};

// Where a row's own key and value go. A row may have several places: branches of a prefix tree that part
// inside a page each own a copy of it.
struct Slot {
  int32_t page = 0;
  int32_t slot = 0;  // 0 <= slot < kPageTokens
};

// Done strictly in this order, before any row is computed.
struct PageOp {
  int32_t from = -1;  // -1: the page is cleared
  int32_t to = 0;
};

}  // namespace mmprm
