// Cases of norms over rows: what rmsnorm and layernorm have in common. A norm gives its name, its call, and
// what it makes of a row in double with the error that float arithmetic may add.
#pragma once
#include <vector>

#include "kernels/case_data.h"

namespace mmprm::norm_case {

constexpr double kRounding = 0x1p-24;

struct Shape {
  int rows, C;
  DType y_dtype;
  bool by_index = false, in_place = false;
  float offset = 0;  // a common one, whose digits the variance must not lose
};

struct Problem {
  Shape shape;
  int64_t x_stride, y_stride;
  GuardedBlock x, weight, bias, y;
  std::vector<int32_t> x_rows;

  explicit Problem(const Shape& s)
      : shape(s),
        x_stride(s.C + 3),
        y_stride(s.in_place ? x_stride : s.C + 5),
        x(s.rows * x_stride * 4),
        weight(s.C * 4),
        bias(s.C * 4),
        y(s.rows * y_stride * dtype_bytes(s.y_dtype)) {
    CaseRandom random(s.C);
    for (int c = 0; c < s.C; ++c) {
      weight.as<float>()[c] = random.normal();
      bias.as<float>()[c] = random.normal();
    }
    for (int r = 0; r < s.rows; ++r) {
      for (int c = 0; c < s.C; ++c) x.as<float>()[r * x_stride + c] = 3 * random.normal() + s.offset;
      x_rows.push_back(s.by_index ? random.below(s.rows) : r);
    }
    if (s.in_place) std::memcpy(y.data(), x.data(), x.size_bytes());
  }

  const float* input() const { return shape.in_place ? y.as<float>() : x.as<float>(); }
};

struct Expected {
  double value, error;  // the error without the rounding to y's dtype
};

struct Norm {
  const char* name;
  void (*run)(const KernelTable& kernels, const Problem& problem, int64_t row_begin, int64_t row_end);
  std::vector<Expected> (*expect)(const float* x, const Problem& problem);
};

inline void require_near(const Norm& norm, const Problem& p) {
  const Shape& s = p.shape;
  const int64_t size = dtype_bytes(s.y_dtype);
  for (int r = 0; r < s.rows; ++r) {
    const std::vector<Expected> expected = norm.expect(p.x.as<float>() + p.x_rows[r] * p.x_stride, p);
    for (int c = 0; c < s.C; ++c) {
      const auto [value, error] = expected[c];
      const double rounding = rounding_of(s.y_dtype) * (std::fabs(value) + error) + 0x1p-126;
      require_close(load_as_f32(p.y.data(), s.y_dtype, r * p.y_stride + c), value, error + rounding,
                    "row " + std::to_string(r) + " column " + std::to_string(c));
    }
    require(p.y.untouched((r * p.y_stride + s.C) * size, (p.y_stride - s.C) * size),
            "wrote behind row " + std::to_string(r));
  }
  p.y.require_guards("y");
}

inline void check(const Norm& norm, const Shape& shape, const KernelTable& kernels) {
  const Problem together(shape), apart(shape);
  norm.run(kernels, together, 0, shape.rows);
  require_near(norm, together);
  for (int64_t r = shape.rows; r-- > 0;) norm.run(kernels, apart, r, r + 1);
  require_same_bits(apart.y.data(), together.y.data(), apart.y.size_bytes(), "row by row");
}

inline BenchRun prepare(const Norm& norm, const Shape& shape, const KernelTable& kernels, ThreadPool& pool) {
  const auto problem = std::make_shared<Problem>(shape);
  BenchRun bench;
  bench.bytes = double(shape.rows) * shape.C * (4 + double(dtype_bytes(shape.y_dtype)));
  bench.roof = Roof::kReadBandwidth;
  bench.data = problem;
  bench.run = [norm, &kernels, &pool, p = problem.get()] {
    pool.run(p->shape.rows, 16, [&](int64_t begin, int64_t end) { norm.run(kernels, *p, begin, end); });
  };
  return bench;
}

enum class Timed : uint8_t { kNo, kYes };

inline KernelCase make_case(const Norm& norm, const Shape& s, Timed timed = Timed::kNo) {
  const std::string name = std::string(norm.name) + " " + dtype_name(s.y_dtype) +
                           " T=" + std::to_string(s.rows) + " C=" + std::to_string(s.C) +
                           (s.offset != 0 ? " offset" : "") + (s.by_index ? " by index" : "") +
                           (s.in_place ? " in place" : "");
  KernelCase c{name, [norm, s](const KernelTable& kernels) { check(norm, s, kernels); }, {}};
  if (timed == Timed::kYes) {
    c.prepare = [norm, s](const KernelTable& kernels, ThreadPool& pool) {
      return prepare(norm, s, kernels, pool);
    };
  }
  return c;
}

}  // namespace mmprm::norm_case
