// gemm, epilogue: from a finished tile of accumulators to rows of y. A lane's arithmetic is the same wherever
// its column stands: masks decide what is read and written, never what is computed.
#pragma once
#include "kernels/gemm/gated_rows.h"
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/gemm_micro.h"
#include "kernels/simd/activation.h"

namespace mmprm::MMPRM_ISA {
namespace {

// Columns [n, n + lanes of V) of one row of accumulators, with bias and scale, of which `count` exist.
template <typename V>
inline V column_values(const GemmArgs& args, const float* acc, int64_t n, int count) {
  V v = load(acc, V{});
  if (args.bias_N) v = v + load_first(args.bias_N + n, count, V{});
  if (args.column_scale_N) v = v * load_first(args.column_scale_N + n, count, V{});
  return v;
}

template <typename V>
inline void store_columns(const GemmArgs& args, int64_t m, int64_t column, int count, V v) {
  const int64_t at = m * args.y_stride + column;
  if (args.y_dtype == DType::kF32) {
    store_first(static_cast<float*>(args.y) + at, count, v);
  } else {
    store_first_bf16(static_cast<uint16_t*>(args.y) + at, count, v);
  }
}

template <Epilogue epilogue>
void finish_columns(const GemmArgs& args, const float* acc, int64_t m, int64_t n, int count) {
  Vec v = column_values<Vec>(args, acc, n, count);
  if constexpr (epilogue == Epilogue::kAccumulate) {
    v = load_first(static_cast<const float*>(args.y) + m * args.y_stride + n, count, v) + v;
  }
  if constexpr (epilogue == Epilogue::kGelu) v = gelu(v);
  if constexpr (epilogue == Epilogue::kGeluTanh) v = gelu_tanh(v);
  if constexpr (epilogue == Epilogue::kRelu) v = max(Vec{}, v);
  store_columns(args, m, n, count, v);
}

void finish_swiglu_group(const GemmArgs& args, const float* acc, int64_t m, int64_t n) {
  const V8 gate = column_values<V8>(args, acc, n, kGatedGroup);
  const V8 up = column_values<V8>(args, acc + kGatedGroup, n + kGatedGroup, kGatedGroup);
  const int64_t column = n / 2;
  const int64_t left = args.y_cols - column;
  if (left <= 0) return;
  store_columns(args, m, column, left < kGatedGroup ? int(left) : kGatedGroup, silu(gate) * up);
}

// Rows [m, m + rows) of y from a tile whose first column is n; `vectors` columns vectors of it are used.
template <Epilogue epilogue>
void finish_rows(const GemmArgs& args, const float* tile, int64_t m, int rows, int64_t n, int vectors) {
  for (int r = 0; r < rows; ++r, tile += kPanelCols) {
    if constexpr (epilogue == Epilogue::kSwiglu) {
      for (int c = 0; c < vectors * kLanes; c += 2 * kGatedGroup) {
        finish_swiglu_group(args, tile + c, m + r, n + c);
      }
    } else {
      for (int c = 0; c < vectors * kLanes; c += kLanes) {
        const int64_t left = args.y_cols - (n + c);
        if (left > 0) {
          finish_columns<epilogue>(args, tile + c, m + r, n + c, left < kLanes ? int(left) : kLanes);
        }
      }
    }
  }
}

void finish_tile(const GemmArgs& args, const float* tile, int64_t m, int rows, int64_t n, int vectors) {
  switch (args.epilogue) {
    case Epilogue::kStore:
      return finish_rows<Epilogue::kStore>(args, tile, m, rows, n, vectors);
    case Epilogue::kAccumulate:
      return finish_rows<Epilogue::kAccumulate>(args, tile, m, rows, n, vectors);
    case Epilogue::kGelu:
      return finish_rows<Epilogue::kGelu>(args, tile, m, rows, n, vectors);
    case Epilogue::kGeluTanh:
      return finish_rows<Epilogue::kGeluTanh>(args, tile, m, rows, n, vectors);
    case Epilogue::kRelu:
      return finish_rows<Epilogue::kRelu>(args, tile, m, rows, n, vectors);
    case Epilogue::kSwiglu:
      return finish_rows<Epilogue::kSwiglu>(args, tile, m, rows, n, vectors);
  }
}

}  // namespace
}  // namespace mmprm::MMPRM_ISA
