// gemm, reference: plain loops, double accumulation. The oracle of every other instruction set, and the
// kernel of processors without one. Packed form: rows of w as they are, N by K, in the pack's dtype;
// quantised ones as the numbers they stand for, in F32.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/float_types.h"
#include "kernels/gemm/gated_rows.h"
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/quantize.h"

namespace mmprm::reference {
namespace {

constexpr DType stored_dtype(DType dtype) { return is_quantized(dtype) ? DType::kF32 : dtype; }

size_t packed_bytes(DType dtype, int N, int K) {
  return size_t(N) * size_t(K) * dtype_bytes(stored_dtype(dtype));
}

int64_t pack_units(const PackArgs& args) { return args.N; }

void pack_quantized(const PackArgs& args, const RowRef& row, std::byte* packed_K) {
  const int group = quant_group(args.dtype);
  for (int first = 0; first < args.K; first += group) {
    const int count = std::min(group, args.K - first);
    float w[kInt8Group] = {};
    for (int i = 0; i < count && row.data; ++i) w[i] = load_as_f32(row.data, row.dtype, first + i);
    const QuantParams p = quant_params(args.dtype, w, count);
    for (int i = 0; i < count; ++i) {
      store_from_f32(packed_K, DType::kF32, first + i, dequantize(quantize(args.dtype, w[i], p), p));
    }
  }
}

void pack(const PackArgs& args, int64_t unit_begin, int64_t unit_end) {
  for (int64_t n = unit_begin; n < unit_end; ++n) {
    const RowRef& row = args.rows_N[n];
    std::byte* packed_K = args.packed + packed_bytes(args.dtype, int(n), args.K);
    if (is_quantized(args.dtype)) {
      pack_quantized(args, row, packed_K);
      continue;
    }
    for (int k = 0; k < args.K; ++k) {
      store_from_f32(packed_K, args.dtype, k, row.data ? load_as_f32(row.data, row.dtype, k) : 0.0f);
    }
  }
}

size_t prepared_bytes(const GemmArgs&) { return 0; }
void prepare(const GemmArgs&, int64_t, int64_t) {}

int64_t units(const GemmArgs& args) { return args.M; }

// Column n of row m before the epilogue: (a_m · w_n + bias) * column_scale.
double value(const GemmArgs& args, int64_t m, int64_t n) {
  const PackedMatrix& w = *args.w;
  double sum = 0;
  for (int k = 0; k < w.K; ++k) {
    sum += double(load_as_f32(args.a_MK, args.a_dtype, m * args.a_stride + k)) *
           double(load_as_f32(w.data, stored_dtype(w.dtype), n * w.K + k));
  }
  if (args.bias_N) sum += args.bias_N[n];
  return args.column_scale_N ? sum * args.column_scale_N[n] : sum;
}

// Column j of row m of y. For kSwiglu, columns of w come in groups: 8 gates, then their 8 ups.
double result(const GemmArgs& args, int64_t m, int64_t j) {
  switch (args.epilogue) {
    case Epilogue::kStore:
      return value(args, m, j);
    case Epilogue::kAccumulate:
      return double(load_as_f32(args.y, args.y_dtype, m * args.y_stride + j)) + value(args, m, j);
    case Epilogue::kGelu: {
      const double v = value(args, m, j);
      return 0.5 * v * (1 + std::erf(v / std::sqrt(2.0)));
    }
    case Epilogue::kGeluTanh: {
      const double v = value(args, m, j);
      return 0.5 * v * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (v + 0.044715 * v * v * v)));
    }
    case Epilogue::kRelu: {
      const double v = value(args, m, j);
      return v > 0 || v != v ? v : 0;  // a NaN stays one
    }
    case Epilogue::kSwiglu: {
      const int64_t n = j / kGatedGroup * 2 * kGatedGroup + j % kGatedGroup;
      const double gate = value(args, m, n), up = value(args, m, n + kGatedGroup);
      return gate / (1 + std::exp(-gate)) * up;
    }
  }
  return 0;
}

void run(const GemmArgs& args, int64_t unit_begin, int64_t unit_end) {
  for (int64_t m = unit_begin; m < unit_end; ++m) {
    for (int64_t j = 0; j < args.y_cols; ++j) {
      store_from_f32(args.y, args.y_dtype, m * args.y_stride + j, float(result(args, m, j)));
    }
  }
}

}  // namespace

extern const GemmKernel gemm;
const GemmKernel gemm = {packed_bytes, pack_units, pack, prepared_bytes, prepare, units, run};

}  // namespace mmprm::reference
