// gemm of quantised weights on CUDA, cases: sums are whole numbers, so with a plain epilogue every bit is known; so is it
// for every token tile, and for a row alone.
#include <cmath>

#include "kernels/cuda_case.h"
#include "kernels/gemm/gemm_quant_cuda.h"
#include "kernels/gemm/quantize.h"

namespace mmprm::cuda {
namespace {

struct Shape {
  DType dtype;
  int N, K, rows;
  Epilogue epilogue = Epilogue::kStore;
  float spread = 1;
};

// Random weights, quantised as a checkpoint's would be, in the device's layout.
struct Quantised {
  QuantWeights w;
  DeviceBlock numbers, scales, zeros;
  std::vector<int> q;  // less the zero point, [N][padded K]

  explicit Quantised(const Shape& s)
      : w{nullptr, nullptr, nullptr, s.dtype, s.N, s.K},
        numbers(size_t(s.N) * w.row_bytes()),
        scales(size_t(w.groups()) * w.padded_N() * 4),
        zeros(size_t(w.groups()) * w.padded_N() * 4),
        q(size_t(s.N) * w.padded_K()) {
    CaseNumbers random(s.N * 3 + s.K);
    std::memset(numbers.host_as<uint8_t>(), 0, numbers.bytes());
    for (int n = 0; n < s.N; ++n) {
      for (int g = 0; g < w.groups(); ++g) {
        float group[64] = {};
        const int first = g * w.group(), count = std::max(0, std::min(w.group(), s.K - first));
        for (int i = 0; i < count; ++i) group[i] = random.normal();
        const QuantParams p = quant_params(s.dtype, group, count);
        scales.host_as<float>()[g * w.padded_N() + n] = p.scale;
        zeros.host_as<uint32_t>()[g * w.padded_N() + n] = uint32_t(p.zero) * 0x01010101u;
        for (int i = 0; i < w.group(); ++i)
          put(n, first + i, i < count ? quantize(s.dtype, group[i], p) : int(p.zero), int(p.zero));
      }
    }
    for (DeviceBlock* block : {&numbers, &scales, &zeros}) block->upload();
    w.numbers = numbers.device_as<uint8_t>(), w.scales = scales.device_as<float>(),
    w.zeros = zeros.device_as<uint32_t>();
  }
  void put(int n, int k, int number, int zero) {
    q[int64_t(n) * w.padded_K() + k] = number - zero;
    uint8_t* row = numbers.host_as<uint8_t>() + n * w.row_bytes();
    if (w.dtype == DType::kInt8) {
      row[k] = uint8_t(number);
    } else {
      row[k / 32 * 16 + int4_byte(k)] |= uint8_t(number << (int4_upper(k) ? 4 : 0));
    }
  }
};

// The definition, number by number.
float chain(Quantised& w, DeviceRows& x, int t, int n) {
  float acc = 0;
  for (int g = 0; g < w.w.groups(); ++g) {
    const int first = g * w.w.group(), last = std::min(x.cols, first + w.w.group());
    float largest = 0;
    for (int k = first; k < last; ++k) largest = std::max(largest, std::fabs(x.get(t, k)));
    const float unit =
        largest > 0 ? std::ldexp(1.0f, std::max(std::ilogb(largest), -112) - 14) : std::ldexp(1.0f, -126);
    int64_t sum = 0;
    for (int k = first; k < last; ++k)
      sum += int64_t(std::nearbyint(x.get(t, k) / unit)) * w.q[int64_t(n) * w.w.padded_K() + k];
    acc = std::fmaf(float(sum), w.scales.host_as<float>()[g * w.w.padded_N() + n] * unit, acc);
  }
  return acc;
}

uint64_t check(const Shape& s, const Chip&) {
  Quantised w(s);
  const int y_cols = s.epilogue == Epilogue::kSwiglu ? s.N / 2 : s.N;
  const DType y_dtype = s.epilogue == Epilogue::kSwiglu ? DType::kBF16 : DType::kF32;
  DeviceRows x(DType::kBF16, s.rows, s.K, s.K + 5), y(y_dtype, s.rows, y_cols, y_cols + 4),
      other(y_dtype, s.rows, y_cols, y_cols + 4);
  CaseNumbers numbers(s.rows + s.K);
  x.fill_normal(numbers, s.spread);
  DeviceBlock scratch(quant_scratch_bytes(w.w, s.rows));
  const auto run = [&](DeviceRows& to, int tokens, int first, int rows) {
    GemmProblem p;
    p.x = x.at(first), p.y = to.at(first);
    p.x_stride = x.stride, p.y_stride = to.stride;
    p.N = s.N, p.K = s.K, p.rows = rows, p.y_cols = y_cols;
    p.y_dtype = y_dtype, p.epilogue = s.epilogue;
    require_ok(gemm_quant(p, w.w, scratch.device(), tokens, nullptr), "gemm_quant");
  };
  run(y, quant_tokens(s.rows), 0, s.rows);
  y.download("gemm_quant");
  scratch.download("gemm_quant's scratch");
  for (int t = 0; t < s.rows; ++t) {
    for (int j = 0; j < y_cols; ++j) {
      const std::string where = "row " + std::to_string(t) + " column " + std::to_string(j);
      if (s.epilogue == Epilogue::kStore) {
        require(y.get(t, j) == chain(w, x, t, j), where + " is " + std::to_string(y.get(t, j)));
        continue;
      }
      const double gate = chain(w, x, t, j / 8 * 16 + j % 8), up = chain(w, x, t, j / 8 * 16 + j % 8 + 8);
      const double value = gate / (1 + std::exp(-gate)) * up;
      require_close(y.get(t, j), value, 0x1.1p-8 * std::fabs(value) + 1e-6, where);
    }
  }
  for (int tokens : {8, 16, 32, 64}) {
    other.block.poison();
    run(other, tokens, 0, s.rows);
    other.download("another tile");
    for (int r = 0; r < s.rows; ++r)
      require_same_bits(other, r, y, r, "with tiles of " + std::to_string(tokens));
  }
  for (int r = 0; r < s.rows; r += 5) {
    run(other, 8, r, 1);
    other.download("alone");
    require_same_bits(other, r, y, r, "alone");
  }
  Hash hash;
  hash.add(y);
  return hash.value();
}

}  // namespace

std::vector<KernelCase> gemm_quant_cases() {
  std::vector<KernelCase> cases;
  for (DType dtype : {DType::kInt8, DType::kInt4}) {
    for (const Shape& s :
         {Shape{dtype, 70, 64, 3}, Shape{dtype, 33, 200, 9}, Shape{dtype, 96, 330, 70},
          Shape{dtype, 48, 96, 12, Epilogue::kSwiglu}, Shape{dtype, 16, 2100, 2, Epilogue::kStore, 3000}}) {
      const std::string name =
          std::string("gemm ") + (dtype == DType::kInt8 ? "int8" : "int4") + " N=" + std::to_string(s.N) +
          " K=" + std::to_string(s.K) + " rows=" + std::to_string(s.rows) +
          (s.epilogue == Epilogue::kSwiglu ? " swiglu" : "") + (s.spread != 1 ? " spread" : "");
      cases.push_back({name, [s](const Chip& chip) { return check(s, chip); }});
    }
  }
  return cases;
}

}  // namespace mmprm::cuda
