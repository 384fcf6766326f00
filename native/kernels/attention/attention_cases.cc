// Cases of attention: prefill, decode over shared and private tails, vision; every row must have the same
// bits alone, among others and in any range of units, and come close to the reference in double.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "base/float_types.h"
#include "cpu/aligned_buffer.h"
#include "kernels/kernel_case.h"

namespace mmprm {
namespace {

struct Shape {
  const char* name;
  int H, G, D;
  // Rows see a shared prefix of `prefix` keys and then `tail` keys of their own;
  // causal rows see one key more each.
  int rows, prefix, tail;
  bool causal;
  int window = 0;
};

// Keys and values of random numbers, queries, page lists: everything a call needs.
struct Problem {
  Shape shape;
  DType dtype;
  int64_t stride;
  AlignedBuffer pages, q, o;
  std::vector<std::vector<int32_t>> page_lists;
  std::vector<RowKeys> rows;

  Problem(const Shape& s, DType d) : shape(s), dtype(d), stride((s.H * s.D + 31) / 32 * 32) {
    const int prefix_pages = s.prefix / kPageTokens;
    int num_pages = prefix_pages;
    if (s.causal) {
      num_pages = (s.prefix + s.rows + kPageTokens - 1) / kPageTokens;
      page_lists.emplace_back();
      for (int p = 0; p < num_pages; ++p) page_lists[0].push_back(p);
    }
    for (int t = 0; t < s.rows; ++t) {
      if (s.causal) continue;
      std::vector<int32_t>& list = page_lists.emplace_back();
      for (int p = 0; p < prefix_pages; ++p) list.push_back(p);
      for (int k = 0; k < s.prefix % kPageTokens + s.tail; k += kPageTokens) list.push_back(num_pages++);
    }
    for (int t = 0; t < s.rows; ++t) {
      rows.push_back(s.causal ? RowKeys{page_lists[0].data(), s.prefix + t + 1}
                              : RowKeys{page_lists[t].data(), s.prefix + s.tail});
    }
    const KvPages kv{nullptr, d, s.G, s.D};
    fill(pages, num_pages * kv.page_bytes() / dtype_bytes(d), 1.0f, 1);
    fill(q, s.rows * stride, 1.0f / std::sqrt(float(s.D)), 2);
    o.reserve(s.rows * stride * dtype_bytes(d));
  }

  void fill(AlignedBuffer& buffer, size_t count, float scale, unsigned seed) const {
    buffer.reserve(count * dtype_bytes(dtype));
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, scale);
    for (size_t i = 0; i < count; ++i) store_from_f32(buffer.data(), dtype, i, normal(random));
  }

  AttentionArgs args(std::byte* out) const {
    AttentionArgs a;
    a.q = q.data();
    a.o = out;
    a.dtype = dtype;
    a.stride = stride;
    a.rows_T = rows.data();
    a.T = shape.rows;
    a.num_heads_H = shape.H;
    a.window = shape.window;
    a.kv = {pages.data(), dtype, shape.G, shape.D};
    return a;
  }

  std::vector<float> run(const KernelTable& kernels) const {
    AlignedBuffer out(shape.rows * stride * dtype_bytes(dtype));
    const AttentionArgs a = args(out.data());
    kernels.attention.run(a, 0, kernels.attention.units(a));
    return read(out);
  }

  std::vector<float> read(const AlignedBuffer& out) const {
    std::vector<float> values;
    for (int t = 0; t < shape.rows; ++t) {
      for (int c = 0; c < shape.H * shape.D; ++c)
        values.push_back(load_as_f32(out.data(), dtype, t * stride + c));
    }
    return values;
  }
};

// Rounding of the inputs aside, what remains is the rounding of weights (bf16: 2^-9 each) and of the result.
void check_close(const std::vector<float>& actual, const std::vector<float>& expected, DType dtype) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    require(std::isfinite(actual[i]), "element " + std::to_string(i) + " is not finite");
    difference += (double(actual[i]) - expected[i]) * (double(actual[i]) - expected[i]);
    norm += double(expected[i]) * expected[i];
  }
  const double limit = dtype == DType::kBF16 ? 6e-3 : 2e-6;
  require(std::sqrt(difference / norm) <= limit,
          "off by " + std::to_string(std::sqrt(difference / norm)) + " relative");
}

// Rows one by one, with q_rows naming where their queries stand.
void check_alone(const Problem& problem, const KernelTable& kernels, const std::vector<float>& together) {
  const int width = problem.shape.H * problem.shape.D;
  for (int32_t t = 0; t < problem.shape.rows; t += std::max(1, problem.shape.rows / 7)) {
    AlignedBuffer out(problem.stride * dtype_bytes(problem.dtype));
    AttentionArgs a = problem.args(out.data());
    a.rows_T = &problem.rows[t];
    a.q_rows = &t;
    a.T = 1;
    kernels.attention.run(a, 0, kernels.attention.units(a));
    for (int c = 0; c < width; ++c) {
      const float alone = load_as_f32(out.data(), problem.dtype, c);
      require(std::memcmp(&alone, &together[size_t(t) * width + c], 4) == 0,
              "row " + std::to_string(t) + " has other bits alone than among others");
    }
  }
}

void check_unit_ranges(const Problem& problem, const KernelTable& kernels,
                       const std::vector<float>& together) {
  AlignedBuffer out(problem.shape.rows * problem.stride * dtype_bytes(problem.dtype));
  const AttentionArgs a = problem.args(out.data());
  const int64_t units = kernels.attention.units(a);
  for (int64_t end = units; end > 0;) {  // backwards, in ranges of growing size
    const int64_t begin = std::max<int64_t>(0, end - 1 - (units - end) / 3);
    kernels.attention.run(a, begin, end);
    end = begin;
  }
  const std::vector<float> pieces = problem.read(out);
  require(std::memcmp(pieces.data(), together.data(), pieces.size() * 4) == 0,
          "other bits in another split of units");
}

// Key and value of a position of the last row's pages become other numbers.
void spoil(Problem& problem, int position, float key, float value) {
  const Shape& s = problem.shape;
  const KvPages kv{problem.pages.data(), problem.dtype, s.G, s.D};
  const int n = position % kPageTokens;
  const bool pairs = problem.dtype == DType::kBF16;
  for (int g = 0; g < s.G; ++g) {
    std::byte* block = kv.keys(problem.rows.back().pages[position / kPageTokens], g);
    for (int d = 0; d < s.D; ++d) {
      store_from_f32(block, problem.dtype,
                     pairs ? (d / 2 * kPageTokens + n) * 2 + d % 2 : d * kPageTokens + n, key);
      store_from_f32(block + kv.half_bytes(), problem.dtype,
                     pairs ? (n / 2 * s.D + d) * 2 + n % 2 : n * s.D + d, value);
    }
  }
}

// What lies in slots that the last row does not see, behind its keys or before its window, must not matter, as long as
// it is finite.
void check_unseen_slots(Problem& problem, const KernelTable& kernels, const std::vector<float>& expected) {
  const Shape& s = problem.shape;
  const int keys = problem.rows.back().num_keys;
  for (int n = keys; n % kPageTokens != 0; ++n) spoil(problem, n, 30.0f, -7e3f);
  for (int n = 0; s.window > 0 && n < keys - s.window; ++n) spoil(problem, n, 30.0f, -7e3f);
  const std::vector<float> after = problem.run(kernels);
  const size_t last = size_t(s.rows - 1) * s.H * s.D;
  require(std::memcmp(&after[last], &expected[last], size_t(s.H) * s.D * 4) == 0,
          "unseen slots change the result");
}

// Pages before the window of a row that is alone are not read: what is no number there does not matter either.
void check_unread_pages(Problem& problem, const KernelTable& kernels, const std::vector<float>& expected) {
  const Shape& s = problem.shape;
  const int32_t last = s.rows - 1, unseen = problem.rows.back().num_keys - s.window;
  if (s.window == 0 || unseen < kPageTokens) return;
  for (int n = 0; n < unseen / kPageTokens * kPageTokens; ++n) spoil(problem, n, NAN, NAN);
  AlignedBuffer out(problem.stride * dtype_bytes(problem.dtype));
  AttentionArgs a = problem.args(out.data());
  a.rows_T = &problem.rows[last];
  a.q_rows = &last;
  a.T = 1;
  kernels.attention.run(a, 0, kernels.attention.units(a));
  const size_t width = size_t(s.H) * s.D;
  for (size_t c = 0; c < width; ++c) {
    const float value = load_as_f32(out.data(), problem.dtype, c);
    require(std::memcmp(&value, &expected[last * width + c], 4) == 0, "pages before the window were read");
  }
}

void check(const Shape& shape, DType dtype, const KernelTable& kernels) {
  if (dtype == DType::kBF16 && kernels.isa != Isa::kAvx512Bf16 && kernels.isa != Isa::kReference) return;
  Problem problem(shape, dtype);
  const std::vector<float> actual = problem.run(kernels);
  check_close(actual, problem.run(kernel_table(Isa::kReference)), dtype);
  const std::vector<float> again = problem.run(kernels);
  require(std::memcmp(again.data(), actual.data(), actual.size() * 4) == 0, "other bits in a second run");
  check_alone(problem, kernels, actual);
  check_unit_ranges(problem, kernels, actual);
  check_unseen_slots(problem, kernels, actual);
  check_unread_pages(problem, kernels, actual);
}

BenchRun prepare(const Shape& shape, DType dtype, const KernelTable& kernels, ThreadPool& pool) {
  const auto problem = std::make_shared<Problem>(shape, activation_dtype(kernels.isa, dtype));
  BenchRun bench;
  const int most = shape.window > 0 ? shape.window : shape.prefix + shape.rows + shape.tail;
  for (const RowKeys& row : problem->rows)
    bench.flops += 4.0 * shape.H * shape.D * std::min(row.num_keys, most);
  bench.roof = problem->dtype == DType::kBF16 ? Roof::kBf16Flops : Roof::kF32Flops;
  bench.bytes = double(problem->pages.size_bytes());
  bench.data = problem;
  bench.run = [&kernels, &pool, p = problem.get()] {
    const AttentionArgs a = p->args(p->o.data());
    pool.run(kernels.attention.units(a), 1, [&](int64_t b, int64_t e) { kernels.attention.run(a, b, e); });
  };
  return bench;
}

// The last rows of a large shape stand for all of it: the reference in double is slow.
Shape last_rows(Shape shape) {
  const int rows = std::min(shape.rows, 24);
  if (shape.causal) shape.prefix += shape.rows - rows;
  shape.rows = rows;
  return shape;
}

}  // namespace

std::vector<KernelCase> attention_cases() {
  const Shape checked[] = {
      {"one row, one key", 1, 1, 16, 1, 0, 1, false},
      {"odd head size", 3, 1, 18, 5, 3, 7, false},
      {"groups of 7", 14, 2, 64, 9, 250, 13, false},
      {"siblings over chunks", 6, 3, 32, 16, 500, 40, false},
      {"one head per group", 4, 4, 16, 6, 33, 300, false},
      {"forty heads on one", 40, 1, 24, 3, 100, 5, false},
      {"causal from the start", 4, 2, 64, 70, 0, 0, true},
      {"causal over a chunk's end", 4, 1, 48, 40, 230, 0, true},
      {"wide head", 2, 1, 256, 4, 20, 9, false},
      {"a window within a chunk", 4, 2, 32, 60, 0, 0, true, 7},
      {"a window over chunks", 4, 1, 48, 70, 490, 0, true, 260},
      {"a window of one", 2, 1, 16, 30, 250, 0, true, 1},
      {"siblings behind a window", 6, 3, 32, 16, 500, 40, false, 300},
      {"a window that all fit in", 2, 2, 16, 20, 10, 0, true, 30},
  };
  const Shape timed[] = {
      {"prefill 512", 14, 2, 64, 512, 0, 0, true},
      {"prefill 2048", 14, 2, 64, 2048, 0, 0, true},
      {"prefill 2048, a window of 512", 14, 2, 64, 2048, 0, 0, true, 512},
      {"decode 16 siblings of 512", 14, 2, 64, 16, 512, 32, false},
      {"decode 16 apart 512", 14, 2, 64, 16, 0, 544, false},
      {"vision 1025", 16, 16, 64, 1025, 1025, 0, false},
  };
  std::vector<KernelCase> cases;
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    const std::string label = std::string("attention ") + (dtype == DType::kBF16 ? "bf16 " : "f32 ");
    for (const Shape& shape : checked) {
      cases.push_back({label + shape.name, [=](const KernelTable& k) { check(shape, dtype, k); }, {}});
    }
  }
  for (const Shape& shape : timed) {
    cases.push_back(
        {std::string("attention ") + shape.name,
         [=](const KernelTable& k) {
           if (k.isa != Isa::kReference) check(last_rows(shape), activation_dtype(k.isa, DType::kBF16), k);
         },
         [=](const KernelTable& k, ThreadPool& pool) { return prepare(shape, DType::kBF16, k, pool); }});
  }
  return cases;
}

}  // namespace mmprm
