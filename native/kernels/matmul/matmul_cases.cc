// Cases of matmul: every orientation, widths that fill no tile, K across block borders, addend and bias; each
// held against the reference within c·eps·|a_m|·|b_n|, with padding that must not be written, and each row
// alone equal to the row among others, bit for bit.
#include <array>
#include <cmath>
#include <cstring>
#include <random>

#include "cpu/aligned_buffer.h"
#include "kernels/kernel_case.h"

namespace mmprm {
namespace {

constexpr float kGuard = 12345.0f;

struct Shape {
  int M, N, K;
  bool a_transposed, b_transposed, addend, bias;
  DType compute;
};

std::string name_of(const Shape& s) {
  return std::string("matmul ") + (s.compute == DType::kF32 ? "f32" : "bf16") + " M=" + std::to_string(s.M) +
         " N=" + std::to_string(s.N) + " K=" + std::to_string(s.K) + (s.a_transposed ? " aT" : "") +
         (s.b_transposed ? " bT" : "") + (s.addend ? " addend" : "") + (s.bias ? " bias" : "");
}

struct Problem {
  Shape shape;
  int64_t a_stride, b_stride, c_stride;
  std::vector<float> a, b, addend, bias;

  explicit Problem(const Shape& s)
      : shape(s),
        a_stride((s.a_transposed ? s.M : s.K) + 3),
        b_stride((s.b_transposed ? s.K : s.N) + 5),
        c_stride(s.N + 2),
        a(size_t(s.a_transposed ? s.K : s.M) * a_stride),
        b(size_t(s.b_transposed ? s.N : s.K) * b_stride),
        addend(size_t(s.M) * c_stride),
        bias(s.N) {
    std::mt19937 random(s.M * 31 + s.N * 7 + s.K);
    std::normal_distribution<float> normal;
    for (auto* values : {&a, &b, &addend, &bias}) {
      for (float& v : *values) v = normal(random);
    }
  }

  MatmulArgs args(float* c) const {
    MatmulArgs out;
    out.a = {a.data(), a_stride, shape.a_transposed};
    out.b = {b.data(), b_stride, shape.b_transposed};
    out.c = c;
    out.c_stride = c_stride;
    out.addend = shape.addend ? addend.data() : nullptr;
    out.addend_stride = c_stride;
    out.bias_N = shape.bias ? bias.data() : nullptr;
    out.M = shape.M;
    out.N = shape.N;
    out.K = shape.K;
    out.compute = shape.compute;
    return out;
  }

  // The product, and what is left of the guards beside it.
  std::vector<float> run(const KernelTable& kernels, DType compute) const {
    std::vector<float> c(size_t(shape.M) * c_stride, kGuard);
    MatmulArgs wanted = args(c.data());
    wanted.compute = compute;
    AlignedBuffer packed(kernels.matmul.packed_floats(wanted) * sizeof(float));
    wanted.packed_b = packed.as<float>();
    for (int64_t u = kernels.matmul.pack_units(wanted) - 1; u >= 0; --u)
      kernels.matmul.pack(wanted, u, u + 1);
    for (int64_t u = kernels.matmul.units(wanted) - 1; u >= 0; --u) kernels.matmul.run(wanted, u, u + 1);
    return c;
  }

  double line_norm(const std::vector<float>& x, int64_t stride, bool across, int i) const {
    double sum = 0;
    for (int k = 0; k < shape.K; ++k) {
      const double v = across ? x[k * stride + i] : x[i * stride + k];
      sum += v * v;
    }
    return std::sqrt(sum);
  }
};

void check(const Shape& shape, const KernelTable& kernels) {
  const Problem p(shape);
  // WHY the widest of the two: tables without bf16 products compute in F32.
  const DType compute = activation_dtype(kernels.isa, shape.compute);
  const bool rounds =
      kernels.isa == Isa::kReference ? shape.compute == DType::kBF16 : compute == DType::kBF16;
  const std::vector<float> actual = p.run(kernels, shape.compute);
  const std::vector<float> expected =
      p.run(kernel_table(Isa::kReference), rounds ? DType::kBF16 : DType::kF32);
  for (int m = 0; m < shape.M; ++m) {
    const double a_norm = p.line_norm(p.a, p.a_stride, shape.a_transposed, m);
    for (int n = 0; n < p.c_stride; ++n) {
      const size_t at = size_t(m) * p.c_stride + n;
      if (n >= shape.N) {
        require(actual[at] == kGuard,
                "padding was written at " + std::to_string(m) + ", " + std::to_string(n));
        continue;
      }
      const double b_norm = p.line_norm(p.b, p.b_stride, !shape.b_transposed, n);
      const double limit = 4 * std::sqrt(double(shape.K)) * 0x1p-24 * a_norm * b_norm + 1e-6;
      require(std::abs(double(actual[at]) - expected[at]) <= limit,
              "element " + std::to_string(m) + ", " + std::to_string(n));
    }
  }
  if (shape.M < 2 || shape.a_transposed) return;
  Shape one = shape;
  one.M = 1;
  Problem alone(one);
  alone.a.assign(p.a.begin() + p.a_stride, p.a.begin() + 2 * p.a_stride);
  alone.b = p.b;
  alone.bias = p.bias;
  alone.addend.assign(p.addend.begin() + p.c_stride, p.addend.begin() + 2 * p.c_stride);
  const std::vector<float> row = alone.run(kernels, shape.compute);
  require(std::memcmp(row.data(), actual.data() + p.c_stride, shape.N * sizeof(float)) == 0,
          "a row alone has other bits");
}

BenchRun prepare(const Shape& shape, const KernelTable& kernels, ThreadPool& pool) {
  struct Data {
    Problem problem;
    std::vector<float> c;
    AlignedBuffer packed;
    MatmulArgs args;
  };
  auto data = std::make_shared<Data>(
      Data{Problem(shape), std::vector<float>(size_t(shape.M) * (shape.N + 2)), {}, {}});
  data->args = data->problem.args(data->c.data());
  data->packed.reserve(kernels.matmul.packed_floats(data->args) * sizeof(float));
  data->args.packed_b = data->packed.as<float>();
  BenchRun run;
  run.flops = 2.0 * shape.M * shape.N * shape.K;
  run.bytes = 4.0 * (double(shape.M) * shape.K + double(shape.N) * shape.K + double(shape.M) * shape.N);
  run.roof =
      activation_dtype(kernels.isa, shape.compute) == DType::kBF16 ? Roof::kBf16Flops : Roof::kF32Flops;
  run.run = [data = data.get(), &kernels, &pool] {
    const MatmulKernel& k = kernels.matmul;
    pool.run(k.pack_units(data->args), 4, [&](int64_t b, int64_t e) { k.pack(data->args, b, e); });
    pool.run(k.units(data->args), 1, [&](int64_t b, int64_t e) { k.run(data->args, b, e); });
  };
  run.data = data;
  return run;
}

KernelCase case_of(const Shape& s, bool timed) {
  KernelCase out{name_of(s), [s](const KernelTable& k) { check(s, k); }, {}};
  if (timed) out.prepare = [s](const KernelTable& k, ThreadPool& pool) { return prepare(s, k, pool); };
  return out;
}

}  // namespace

std::vector<KernelCase> matmul_cases() {
  std::vector<KernelCase> cases;
  for (DType compute : {DType::kF32, DType::kBF16}) {
    for (const auto& [M, N, K] :
         {std::array{1, 1, 1}, {5, 33, 7}, {13, 31, 193}, {97, 70, 385}, {49, 64, 770}}) {
      for (int form = 0; form < 8; ++form) {
        cases.push_back(case_of(
            {M, N, K, (form & 1) != 0, (form & 2) != 0, (form & 4) != 0, form % 3 == 0, compute}, false));
      }
    }
    cases.push_back(case_of({2048, 1376, 256, false, true, false, false, compute}, true));
    cases.push_back(case_of({2048, 256, 1376, false, false, false, false, compute}, true));
    cases.push_back(case_of({1376, 256, 2048, true, false, true, false, compute}, true));
  }
  return cases;
}

}  // namespace mmprm
