// Kernels × threads: cuts each op into units and shares them out. Shared by decoder and vision.
#pragma once
#include <algorithm>
#include <atomic>
#include <functional>

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"
#include "include/engine/error.h"
#include "kernels/table.h"

namespace mmprm {

struct KernelRunner {
  const KernelTable& kernels;
  ThreadPool& pool;
  AlignedBuffer* prepared_rows = nullptr;        // scratch of gemm with quantised weights
  const std::atomic<bool>* cancelled = nullptr;  // these two are looked at between layers
  const std::atomic<bool>* closing = nullptr;
  std::function<bool()> abandoned;  // so is this: whether everyone who waits for the work has gone

  void gemm(GemmArgs args) const {
    if (const size_t bytes = kernels.gemm.prepared_bytes(args); bytes > 0) {
      prepared_rows->reserve(bytes);
      args.prepared = prepared_rows->data();
      pool.run(args.M, kPrepareGrain, [&](int64_t b, int64_t e) { kernels.gemm.prepare(args, b, e); });
    }
    pool.run(kernels.gemm.units(args), 1, [&](int64_t b, int64_t e) { kernels.gemm.run(args, b, e); });
  }
  void attention(const AttentionArgs& args) const {
    pool.run(kernels.attention.units(args), 1,
             [&](int64_t b, int64_t e) { kernels.attention.run(args, b, e); });
  }
  void rope(const RopeArgs& args) const {
    pool.run(args.T, kRowGrain, [&](int64_t b, int64_t e) { kernels.rope.run(args, b, e); });
  }
  void rmsnorm(const RmsnormArgs& args) const {
    pool.run(args.rows, kRowGrain, [&](int64_t b, int64_t e) { kernels.rmsnorm.run(args, b, e); });
  }
  void layernorm(const LayernormArgs& args) const {
    pool.run(args.rows, kRowGrain, [&](int64_t b, int64_t e) { kernels.layernorm.run(args, b, e); });
  }

  void check_cancelled() const {
    if (closing && closing->load()) throw Error(ErrorCode::kClosed, "the engine was closed");
    const bool stop = (cancelled && cancelled->load()) || (abandoned && abandoned());
    if (stop) throw Error(ErrorCode::kAborted, "the call was aborted");
  }

  // WHY blocks of rows: activations between two matrices stay in cache, and M = 512 already amortises the
  // weights.
  static constexpr int kRowBlock = 512;
  static constexpr int64_t kRowGrain = 16, kPrepareGrain = 4;

  template <typename Body>
  static void for_row_blocks(int rows, Body&& body) {
    for (int first = 0; first < rows; first += kRowBlock) body(first, std::min(kRowBlock, rows - first));
  }
};

}  // namespace mmprm
