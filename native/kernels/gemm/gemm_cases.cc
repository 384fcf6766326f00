// gemm, cases. Beyond values: NaN in everything that must not be read, guards around everything that must not
// be written, and equal bits for a repeat, any order of units, and every row alone.
#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include "kernels/gemm/gemm_case_bounds.h"

namespace mmprm {
namespace {

using namespace gemm_case;

void run_units(const GemmKernel& gemm, const GemmArgs& args, int64_t begin, int64_t end) {
  if (begin < end) gemm.run(args, begin, end);
}

// Row m of y by the reference table, not rounded to the dtype of y.
std::vector<float> reference_row(const Problem& p, const PackedMatrix& reference_w, int m) {
  std::vector<float> row(p.shape.columns());
  for (size_t j = 0; j < row.size(); ++j) {
    row[j] = load_as_f32(p.y_before.data(), p.shape.y_dtype, m * p.y_stride + j);
  }
  GemmArgs args = p.args(p.y_before, m, 1);
  args.w = &reference_w;
  args.y = row.data();
  args.y_dtype = DType::kF32;
  const GemmKernel& reference = kernel_table(Isa::kReference).gemm;
  reference.run(args, 0, reference.units(args));
  return row;
}

// Every `column_step`-th column of row m.
void require_row(const Problem& p, const GuardedBlock& y, const std::vector<float>& reference, int m,
                 int column_step) {
  for (int j = 0; j < p.shape.columns(); j += column_step) {
    const Bounded expected = plain_result(p, m, j);
    const double wanted = p.kernels.isa == Isa::kReference ? expected.value : double(reference[j]);
    const double got = load_as_f32(y.data(), p.shape.y_dtype, m * p.y_stride + j);
    require(std::fabs(got - wanted) <= expected.error,  // also false for a NaN
            "row " + std::to_string(m) + ", column " + std::to_string(j) + " is " + std::to_string(got) +
                ", expected " + std::to_string(wanted) + " within " + std::to_string(expected.error));
  }
}

void require_equal(const GuardedBlock& y, const GuardedBlock& other, const std::string& what) {
  other.require_guards("y (" + what + ")");
  require(std::memcmp(y.data(), other.data(), y.size_bytes()) == 0, what + " gives other bits");
}

void require_same_bits(const Problem& p, const GuardedBlock& y) {
  const GemmKernel& gemm = p.kernels.gemm;
  const GuardedBlock again = p.fresh_y(), split = p.fresh_y(), alone = p.fresh_y(), tail = p.fresh_y();
  const int M = p.shape.M;
  const int64_t units = gemm.units(p.args(y, 0, M));
  run_units(gemm, p.prepared_args(again, 0, M), 0, units);
  require_equal(y, again, "a second run");

  run_units(gemm, p.prepared_args(split, 0, M), units - units / 3, units);
  for (int64_t u = units - units / 3; u-- > 0;) run_units(gemm, p.prepared_args(split, 0, M), u, u + 1);
  require_equal(y, split, "another order of units");

  for (int m = 0; m < M; ++m)
    run_units(gemm, p.prepared_args(alone, m, 1), 0, gemm.units(p.args(alone, m, 1)));
  require_equal(y, alone, "every row alone");

  run_units(gemm, p.prepared_args(tail, 0, 1), 0, gemm.units(p.args(tail, 0, 1)));
  if (M > 1) run_units(gemm, p.prepared_args(tail, 1, M - 1), 0, gemm.units(p.args(tail, 1, M - 1)));
  require_equal(y, tail, "a cut behind the first row");
}

void require_untouched_padding(const Problem& p, const GuardedBlock& y) {
  const size_t width = dtype_bytes(p.shape.y_dtype), used = p.shape.columns() * width,
               stride = p.y_stride * width;
  for (int m = 0; m < p.shape.M; ++m) {
    const size_t at = m * stride + used;
    require(std::memcmp(y.data() + at, p.y_before.data() + at, stride - used) == 0,
            "row " + std::to_string(m) + " was written to behind y_cols");
  }
}

// A sample of columns in `rows` of y is compared with the reference; everything where `rows` is empty.
void check(Shape shape, const KernelTable& kernels, std::vector<int> rows) {
  const bool large = !rows.empty();
  if (large && kernels.isa == Isa::kReference) {  // rows are independent: two stand for all
    shape.M = std::min(shape.M, 2);
    std::erase_if(rows, [&](int m) { return m >= shape.M; });
  }
  const Problem p(shape, kernels, !large);
  if (!large) {
    for (int m = 0; m < shape.M; ++m) rows.push_back(m);
  }
  const GuardedBlock y = p.fresh_y();
  const GemmArgs args = p.prepared_args(y, 0, shape.M);
  run_units(kernels.gemm, args, 0, kernels.gemm.units(args));
  y.require_guards("y");
  require_untouched_padding(p, y);

  const GemmKernel& reference = kernel_table(Isa::kReference).gemm;
  GuardedBlock reference_packed(reference.packed_bytes(shape.weights, shape.N, shape.K));
  const PackArgs pack{p.rows_N.data(), reference_packed.data(), shape.weights, shape.N, shape.K};
  reference.pack(pack, 0, reference.pack_units(pack));
  const PackedMatrix w{reference_packed.data(), shape.weights, shape.N, shape.K};
  constexpr int kSampledColumns = 67;  // prime: every place in a panel comes up
  for (int m : rows) require_row(p, y, reference_row(p, w, m), m, large ? kSampledColumns : 1);
  if (!large) require_same_bits(p, y);
}

// WHY several matrices: in a model every matrix is read once per step and none is still in a cache.
struct BenchData {
  std::vector<std::unique_ptr<Problem>> problems;
  std::vector<GuardedBlock> ys;
  size_t next = 0;
};

BenchRun prepare(const Shape& shape, const KernelTable& kernels, ThreadPool& pool) {
  constexpr double kBeyondCaches = 192e6;
  constexpr int kComputeBoundRows = 16;
  const auto data = std::make_shared<BenchData>();
  BenchRun bench;
  bench.flops = 2.0 * shape.M * shape.N * shape.K;
  double total = 0;
  do {
    data->problems.push_back(std::make_unique<Problem>(shape, kernels, false));
    const Problem& p = *data->problems.back();
    data->ys.push_back(p.fresh_y());
    bench.bytes = double(p.packed.size_bytes() + p.a.size_bytes() + data->ys.back().size_bytes());
    total += bench.bytes;
    // Only the packed form is used from here on.
    data->problems.back()->source = {};
  } while (shape.M < kComputeBoundRows && total < kBeyondCaches);
  const bool bf16 = activation_dtype(kernels.isa, shape.weights) == DType::kBF16;
  bench.roof = shape.M < kComputeBoundRows ? Roof::kReadBandwidth : bf16 ? Roof::kBf16Flops : Roof::kF32Flops;
  bench.run = [d = data.get(), gemm = kernels.gemm, &pool, M = shape.M] {
    const size_t i = d->next++ % d->problems.size();
    const GemmArgs args = d->problems[i]->args(d->ys[i], 0, M);
    if (args.prepared) pool.run(M, 4, [&](int64_t begin, int64_t end) { gemm.prepare(args, begin, end); });
    pool.run(gemm.units(args), 1, [&](int64_t begin, int64_t end) { gemm.run(args, begin, end); });
  };
  bench.data = data;
  return bench;
}

KernelCase small_case(const Shape& shape) {
  return {name_of(shape), [shape](const KernelTable& kernels) { check(shape, kernels, {}); }, {}};
}

KernelCase benched_case(const Shape& shape) {
  std::vector<int> rows{0};
  if (shape.M > 1) rows.insert(rows.end(), {1, shape.M - 1});
  return {name_of(shape), [shape, rows](const KernelTable& kernels) { check(shape, kernels, rows); },
          [shape](const KernelTable& kernels, ThreadPool& pool) { return prepare(shape, kernels, pool); }};
}

// Sizes on both sides of every granule: vectors of 8 and 16, panels of 16 and 48, blocks of 6, 8 and 64 rows,
// blocks of k of 128 and 256 steps.
constexpr std::array<std::array<int, 3>, 14> kSizes = {{{1, 1, 1},
                                                        {1, 17, 33},
                                                        {2, 8, 2},
                                                        {3, 31, 7},
                                                        {5, 48, 129},
                                                        {6, 49, 64},
                                                        {7, 95, 300},
                                                        {8, 16, 31},
                                                        {9, 33, 515},
                                                        {13, 47, 3},
                                                        {16, 97, 128},
                                                        {17, 15, 1025},
                                                        {33, 64, 77},
                                                        {131, 50, 19}}};

void add_small_cases(DType weights, std::vector<KernelCase>& cases) {
  for (const auto& [M, N, K] : kSizes) {
    const int groups = (N + 15) / 16;
    for (DType y : {DType::kF32, DType::kBF16}) {
      cases.push_back(small_case({M, N, K, weights, Epilogue::kStore, y}));
      cases.push_back(small_case({M, N, K, weights, Epilogue::kGelu, y, true}));
      cases.push_back(small_case({M, N, K, weights, Epilogue::kGeluTanh, y, true}));
      cases.push_back(small_case({M, N, K, weights, Epilogue::kRelu, y, true, true}));
      cases.push_back(small_case({M, groups * 16, K, weights, Epilogue::kSwiglu, y, M % 2 == 0}));
    }
    cases.push_back(small_case({M, N, K, weights, Epilogue::kAccumulate, DType::kF32, true, true}));
    cases.push_back(small_case({M, groups * 16, K, weights, Epilogue::kSwiglu, DType::kBF16, true, false,
                                groups * 8 - 3}));  // a feed-forward width that is no multiple of 8
    if (N > 1) {
      cases.push_back(
          small_case({M, N, K, weights, Epilogue::kAccumulate, DType::kF32, false, false, N - 1}));
    }
  }
}

// One row of activations that is not finite is NaN in all columns; its neighbours
// are as if it were not there.
void check_not_finite(DType weights, float value, const KernelTable& kernels) {
  const Problem p({3, 20, 130, weights}, kernels, false);
  const GuardedBlock expected = p.fresh_y(), y = p.fresh_y();
  const int64_t units = kernels.gemm.units(p.args(y, 0, p.shape.M));
  run_units(kernels.gemm, p.prepared_args(expected, 0, p.shape.M), 0, units);
  store_from_f32(p.a.data(), p.a_dtype, p.a_stride + 70, value);
  run_units(kernels.gemm, p.prepared_args(y, 0, p.shape.M), 0, units);
  for (int64_t at = 0; at < p.shape.M * p.y_stride; ++at) {
    if (at % p.y_stride >= p.shape.N) continue;
    const float got = y.as<float>()[at];
    const bool same = got == expected.as<float>()[at];
    require(at / p.y_stride == 1 ? !std::isfinite(got) : same, "y " + std::to_string(at));
  }
}

// Groups of zeros, of the smallest and of the largest numbers, side by side and mixed.
void check_extremes(DType weights, const KernelTable& kernels) {
  Problem p({6, 20, 200, weights}, kernels, false);
  const float sizes[] = {0, 0x1p-149f, 0x1p-126f, 0x1p-112f, 0x1p100f, 0x1p-20f};
  for (int m = 0; m < p.shape.M; ++m) {
    for (int k = 0; k < p.shape.K; ++k) {
      const float size = sizes[m == 5 ? k % 6 : (m + k / 64) % 6];
      store_from_f32(p.a.data(), p.a_dtype, m * p.a_stride + k, p.random() * size);
    }
  }
  const GuardedBlock y = p.fresh_y();
  const GemmArgs args = p.prepared_args(y, 0, p.shape.M);
  run_units(kernels.gemm, args, 0, kernels.gemm.units(args));
  for (int m = 0; m < p.shape.M; ++m) {
    for (int n = 0; n < p.shape.N; ++n) {
      const Bounded expected = plain_result(p, m, n);
      require_close(y.as<float>()[m * p.y_stride + n], expected.value, expected.error,
                    "row " + std::to_string(m) + ", column " + std::to_string(n));
    }
  }
}

// Error of W, relative by norm, on Gaussian weights: what quantize.h promises.
void check_quantisation_error(const KernelTable&) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 0.02f);
  for (const auto& [dtype, limit] : {std::pair{DType::kInt8, 0.0075}, std::pair{DType::kInt4, 0.09}}) {
    double difference = 0, norm = 0;
    for (int round = 0; round < 2000; ++round) {
      float w[kInt8Group];
      const int group = quant_group(dtype);
      for (int i = 0; i < group; ++i) w[i] = normal(random);
      const QuantParams params = quant_params(dtype, w, group);
      for (int i = 0; i < group; ++i) {
        const double off = dequantize(quantize(dtype, w[i], params), params) - double(w[i]);
        difference += off * off;
        norm += double(w[i]) * w[i];
      }
    }
    const double relative = std::sqrt(difference / norm);
    require(relative <= limit, std::string(dtype_name(dtype)) + " is off by " + std::to_string(relative));
  }
}

}  // namespace

std::vector<KernelCase> gemm_cases() {
  std::vector<KernelCase> cases;
  for (DType weights : {DType::kF32, DType::kBF16, DType::kInt8, DType::kInt4}) {
    add_small_cases(weights, cases);
    for (int M : {1, 4, 8, 16, 64, 512}) cases.push_back(benched_case({M, 4096, 4096, weights}));
  }
  for (DType weights : {DType::kInt8, DType::kInt4}) {
    const std::string name = std::string("gemm ") + dtype_name(weights);
    cases.push_back({name + " extremes", [=](const KernelTable& k) { check_extremes(weights, k); }, {}});
    for (float value : {INFINITY, -INFINITY, NAN}) {
      cases.push_back({name + " activation " + std::to_string(value),
                       [=](const KernelTable& k) { check_not_finite(weights, value, k); },
                       {}});
    }
  }
  cases.push_back({"gemm quantisation error", check_quantisation_error, {}});
  // The matrices of a decoder of half a billion parameters, and of a vision tower.
  constexpr DType kBF16 = DType::kBF16;
  for (int M : {1, 16, 512}) {
    cases.push_back(benched_case({M, 1152, 896, kBF16, Epilogue::kStore, DType::kF32, true}));
    cases.push_back(benched_case({M, 896, 896, kBF16, Epilogue::kAccumulate}));
    cases.push_back(benched_case({M, 9728, 896, kBF16, Epilogue::kSwiglu, kBF16}));
    cases.push_back(benched_case({M, 896, 4864, kBF16, Epilogue::kAccumulate}));
  }
  cases.push_back(benched_case({512, 4096, 1024, kBF16, Epilogue::kGelu, kBF16, true}));
  cases.push_back(benched_case({512, 1024, 4096, kBF16, Epilogue::kAccumulate, DType::kF32, true, true}));
  cases.push_back(benched_case({1, 151936, 896, kBF16}));
  return cases;
}

}  // namespace mmprm
