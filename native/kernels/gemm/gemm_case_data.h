// gemm, cases: the data of one. Everything that must not be read is NaN, everything that must not be written
// stands between guards, and rows of w lie unaligned and, if asked for, in all dtypes at once.
#pragma once
#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/case_data.h"
#include "kernels/gemm/quantize.h"

namespace mmprm::gemm_case {

struct Shape {
  int M, N, K;
  DType weights;
  Epilogue epilogue = Epilogue::kStore;
  DType y_dtype = DType::kF32;
  bool bias = false, column_scale = false;
  int y_cols = 0;  // 0: all

  int columns() const { return y_cols ? y_cols : epilogue == Epilogue::kSwiglu ? N / 2 : N; }
};

inline std::string name_of(const Shape& s) {
  static const char* const epilogues[] = {"store", "accumulate", "gelu", "gelu tanh", "relu", "swiglu"};
  std::string name = std::string("gemm ") + dtype_name(s.weights) + " M=" + std::to_string(s.M) +
                     " N=" + std::to_string(s.N) + " K=" + std::to_string(s.K) + " " +
                     epilogues[int(s.epilogue)] + " " + dtype_name(s.y_dtype);
  if (s.bias) name += " bias";
  if (s.column_scale) name += " scale";
  if (s.y_cols) name += " y_cols=" + std::to_string(s.y_cols);
  return name;
}

struct Problem {
  Shape shape;
  const KernelTable& kernels;
  DType a_dtype;
  int64_t a_stride, y_stride;
  std::vector<std::byte> source;  // rows of w, one byte off any alignment
  std::vector<RowRef> rows_N;
  GuardedBlock packed, a, bias, column_scale, y_before;
  PackedMatrix w;
  GuardedBlock prepared;

  Problem(const Shape& s, const KernelTable& table, bool mixed_sources)
      : shape(s),
        kernels(table),
        a_dtype(activation_dtype(table.isa, s.weights)),
        a_stride(activation_stride(s.K, a_dtype)),
        y_stride(s.columns() + 3),
        source(size_t(s.N) * s.K * 4 + 1),
        packed(table.gemm.packed_bytes(s.weights, s.N, s.K)),
        a(size_t(s.M) * a_stride * dtype_bytes(a_dtype)),
        bias(size_t(s.N) * 4),
        column_scale(size_t(s.N) * 4),
        y_before(size_t(s.M) * y_stride * dtype_bytes(s.y_dtype)),
        w{packed.data(), s.weights, s.N, s.K},
        prepared(table.gemm.prepared_bytes(rows_of(w, s.M))) {
    fill_weights(mixed_sources);
    for (int m = 0; m < s.M; ++m) {
      for (int k = 0; k < s.K; ++k) store_from_f32(a.data(), a_dtype, m * a_stride + k, random());
      if (s.K % 2) store_from_f32(a.data(), a_dtype, m * a_stride + s.K, 0.0f);
      for (int j = 0; j < s.columns(); ++j)
        store_from_f32(y_before.data(), s.y_dtype, m * y_stride + j, random());
    }
    for (int n = 0; n < s.N; ++n) {
      store_from_f32(bias.data(), DType::kF32, n, random());
      store_from_f32(column_scale.data(), DType::kF32, n, random());
    }
    const PackArgs pack{rows_N.data(), packed.data(), s.weights, s.N, s.K};
    const int64_t units = kernels.gemm.pack_units(pack);
    for (int64_t u = units; u-- > 0;) kernels.gemm.pack(pack, u, u + 1);
    packed.require_guards("the packed matrix");
  }

  static GemmArgs rows_of(const PackedMatrix& w, int M) {
    GemmArgs args;
    args.w = &w;
    args.M = M;
    return args;
  }

  // In [-1, 1), of 16 bits: quick, and enough for a sum.
  float random() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return float(int32_t(state_ >> 32) >> 16) * 0x1p-15f;
  }

  void fill_weights(bool mixed_sources) {
    static constexpr DType kinds[] = {DType::kF32, DType::kBF16, DType::kF16};
    for (int n = 0; n < shape.N; ++n) {
      std::byte* row = source.data() + 1 + size_t(n) * shape.K * 4;
      const DType dtype = mixed_sources ? kinds[n % 3] : DType::kBF16;
      for (int k = 0; k < shape.K; ++k) {
        const float f = random();
        // An F16 number from the sign and the upper bits of f's mantissa: exponents of 1/4 to 2.
        const uint16_t half = uint16_t((std::bit_cast<uint32_t>(f) >> 16 & 0x83ffu) | 0x3800u);
        const uint16_t bits = dtype == DType::kF16 ? half : f32_to_bf16(f);
        if (dtype == DType::kF32) {
          std::memcpy(row + size_t(k) * 4, &f, 4);
        } else {
          std::memcpy(row + size_t(k) * 2, &bits, 2);
        }
      }
      rows_N.push_back({mixed_sources && n == shape.N / 2 ? nullptr : row, dtype});
    }
  }

  double activation(int m, int k) const { return load_as_f32(a.data(), a_dtype, m * a_stride + k); }

  double weight(int n, int k) const {
    const RowRef& row = rows_N[n];
    if (!row.data) return 0;
    if (is_quantized(shape.weights)) return quantized_weight(row, k);
    const float f = load_as_f32(row.data, row.dtype, k);
    return shape.weights == DType::kBF16 ? bf16_to_f32(f32_to_bf16(f)) : f;
  }

  double quantized_weight(const RowRef& row, int k) const {
    const int group = quant_group(shape.weights), first = k / group * group;
    const int count = std::min(group, shape.K - first);
    float w[kInt8Group];
    for (int i = 0; i < count; ++i) w[i] = load_as_f32(row.data, row.dtype, first + i);
    const QuantParams params = quant_params(shape.weights, w, count);
    return dequantize(quantize(shape.weights, w[k - first], params), params);
  }

  GemmArgs args(const GuardedBlock& y, int first_row, int rows) const {
    GemmArgs args = rows_of(w, rows);
    args.a_MK = a.data() + first_row * a_stride * int64_t(dtype_bytes(a_dtype));
    args.a_dtype = a_dtype;
    args.a_stride = a_stride;
    args.y = y.data() + first_row * y_stride * int64_t(dtype_bytes(shape.y_dtype));
    args.y_dtype = shape.y_dtype;
    args.y_stride = y_stride;
    args.y_cols = shape.columns();
    if (shape.bias) args.bias_N = reinterpret_cast<const float*>(bias.data());
    if (shape.column_scale) args.column_scale_N = reinterpret_cast<const float*>(column_scale.data());
    args.epilogue = shape.epilogue;
    args.prepared = prepared.data();
    return args;
  }

  GemmArgs prepared_args(const GuardedBlock& y, int first_row, int rows) const {
    const GemmArgs prepared_args = args(y, first_row, rows);
    kernels.gemm.prepare(prepared_args, 0, rows);
    prepared.require_guards("the prepared rows");
    return prepared_args;
  }

  GuardedBlock fresh_y() const {
    GuardedBlock y(y_before.size_bytes());
    std::memcpy(y.data(), y_before.data(), y.size_bytes());
    return y;
  }

 private:
  uint64_t state_ = 1;
};

}  // namespace mmprm::gemm_case
