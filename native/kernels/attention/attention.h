// attention: softmax(q·K^T)·V over paged keys, for prefill, decode, prefix trees and vision alike.
//
// Keys and values live in pages of kPageTokens consecutive positions. A query row names its own list of pages
// and how many keys it sees, so causal order, trees and shared prefixes need no mask: rows whose pages agree
// over a chunk are computed together, and each page is read once for them.
//
// INVARIANT: keys are taken in chunks of kChunkTokens at absolute positions. Inside a chunk a row's maximum,
// sum and weighted values are computed the same way whatever rows stand beside it; chunk results merge
// strictly left to right. So one row's bits do not depend on batching, chunked prefill, sharing or thread
// count. Slots at or beyond a row's num_keys, and those before its window, contribute exactly nothing, but must hold
// finite numbers.
//
// Page layout, per key/value head, K block then V block (D is a multiple of 2):
//   BF16: K [D/2][16][2], V [16/2][D][2]        F32: K [D][16], V [16][D]
// q is already rotated and multiplied by 1/sqrt(D). H/G consecutive query heads share a key/value head.
#pragma once
#include <cstddef>
#include <cstdint>

#include "device/ops.h"

namespace mmprm {

// Keys and values of one layer. Block of (page, head): data + (page * num_heads_G + head) * block_bytes().
struct KvPages {
  std::byte* data = nullptr;  // 64-byte aligned
  DType dtype = DType::kF32;
  int num_heads_G = 0, head_dim_D = 0;

  size_t half_bytes() const { return size_t{kPageTokens} * head_dim_D * dtype_bytes(dtype); }
  size_t block_bytes() const { return 2 * half_bytes(); }
  size_t page_bytes() const { return num_heads_G * block_bytes(); }
  std::byte* keys(int page, int head) const {
    return data + (size_t(page) * num_heads_G + head) * block_bytes();
  }
  std::byte* values(int page, int head) const { return keys(page, head) + half_bytes(); }
};

struct RowKeys {
  const int32_t* pages = nullptr;  // ceil(num_keys / kPageTokens) page ids
  int32_t num_keys = 0;            // at least 1
};

struct AttentionArgs {
  const void* q = nullptr;          // rows of H*D
  void* o = nullptr;                // T rows of H*D, same dtype and stride as q
  DType dtype = DType::kF32;        // of q, o and the pages
  int64_t stride = 0;               // elements
  const int32_t* q_rows = nullptr;  // row of q for each of the T rows; null: the same row
  const RowKeys* rows_T = nullptr;
  int T = 0, num_heads_H = 0;
  int window = 0;  // a row sees the last `window` of its keys; 0: all of them
  KvPages kv;
};

struct AttentionKernel {
  int64_t (*units)(const AttentionArgs& args);
  void (*run)(const AttentionArgs& args, int64_t unit_begin, int64_t unit_end);
};

}  // namespace mmprm
