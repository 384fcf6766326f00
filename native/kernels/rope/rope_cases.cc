// Cases of rope: norm of heads, rotation, scale of q, k and v scattered to one or more places, with and without positions.
#include <cmath>
#include <cstring>
#include <random>

#include "base/float_types.h"
#include "cpu/aligned_buffer.h"
#include "kernels/kernel_case.h"

namespace mmprm {
namespace {

struct Shape {
  int H, G, D;
  bool rotate, norm = false;
};

constexpr int kRows = 7, kPages = 3, kPositions = 40;

struct Result {
  std::vector<float> q, pages;
};

Result run(const Shape& s, DType dtype, const KernelTable& kernels, bool one_by_one) {
  std::mt19937 random(s.D);
  std::normal_distribution<float> normal(0, 1);
  const int64_t stride = (s.H + 2 * s.G) * s.D + 4;
  std::vector<float> qkv(kRows * stride), cos_sin(size_t(kPositions) * s.D);
  for (float& v : qkv) v = normal(random);
  for (int p = 0; p < kPositions; ++p) {
    for (int i = 0; i < s.D / 2; ++i) {
      const double angle = p * std::pow(100.0, -2.0 * i / s.D);
      cos_sin[size_t(p) * s.D + i] = float(std::cos(angle));
      cos_sin[size_t(p) * s.D + s.D / 2 + i] = float(std::sin(angle));
    }
  }
  std::vector<float> q_norm, k_norm;
  for (int d = 0; d < s.D; ++d) q_norm.push_back(normal(random)), k_norm.push_back(normal(random));
  const int32_t positions[kRows] = {0, 1, 5, 39, 16, 2, 3};
  // Row 2 goes to two places, row 4 to none.
  const Slot slots[] = {{0, 0}, {0, 15}, {1, 3}, {2, 3}, {2, 0}, {1, 8}, {1, 9}};
  const int32_t slot_begin[kRows + 1] = {0, 1, 2, 4, 5, 5, 6, 7};

  KvPages kv{nullptr, dtype, s.G, s.D};
  AlignedBuffer pages(kPages * kv.page_bytes()), q(kRows * (s.H * s.D + 2) * dtype_bytes(dtype));
  kv.data = pages.data();
  RopeArgs args;
  args.qkv = qkv.data();
  args.qkv_stride = stride;
  args.cos_sin = s.rotate ? cos_sin.data() : nullptr;
  args.positions_T = s.rotate ? positions : nullptr;
  args.q = q.data();
  args.q_stride = s.H * s.D + 2;
  args.q_scale = 0.25f;
  if (s.norm) args.q_norm_D = q_norm.data(), args.k_norm_D = k_norm.data(), args.norm_eps = 1e-6f;
  args.T = kRows;
  args.num_heads_H = s.H;
  args.kv = kv;
  args.slots = slots;
  args.slot_begin_T1 = slot_begin;
  if (one_by_one) {
    for (int r = kRows - 1; r >= 0; --r) kernels.rope.run(args, r, r + 1);
  } else {
    kernels.rope.run(args, 0, kRows);
  }
  Result out;
  for (int64_t i = 0; i < kRows * args.q_stride; ++i) out.q.push_back(load_as_f32(q.data(), dtype, i));
  for (size_t i = 0; i < kPages * kv.page_bytes() / dtype_bytes(dtype); ++i) {
    out.pages.push_back(load_as_f32(pages.data(), dtype, i));
  }
  return out;
}

void compare(const std::vector<float>& actual, const std::vector<float>& expected, DType dtype,
             const char* what) {
  const float limit = dtype == DType::kBF16 ? 0x1p-7f : 1e-6f;
  for (size_t i = 0; i < expected.size(); ++i) {
    // Absolute as well: a rotation cancels.
    require(std::abs(actual[i] - expected[i]) <= limit * (std::abs(expected[i]) + 1),
            std::string(what) + " " + std::to_string(i));
  }
}

void check(const Shape& s, DType dtype, const KernelTable& kernels) {
  if (dtype == DType::kBF16 && kernels.isa != Isa::kAvx512Bf16 && kernels.isa != Isa::kReference) return;
  const Result actual = run(s, dtype, kernels, false),
               expected = run(s, dtype, kernel_table(Isa::kReference), false);
  compare(actual.q, expected.q, dtype, "q");
  compare(actual.pages, expected.pages, dtype, "pages");
  const Result apart = run(s, dtype, kernels, true);
  require(apart.q == actual.q && apart.pages == actual.pages, "rows one by one have other bits");
}

}  // namespace

std::vector<KernelCase> rope_cases() {
  std::vector<KernelCase> cases;
  for (const Shape& s : {Shape{1, 1, 2, true},
                         {4, 2, 16, true},
                         {14, 2, 64, true},
                         {3, 3, 18, true},
                         {2, 1, 256, true},
                         {4, 4, 24, false},
                         {4, 2, 32, true, true},
                         {3, 1, 18, true, true},
                         {2, 1, 128, true, true},
                         {2, 2, 256, false, true}}) {
    for (DType dtype : {DType::kF32, DType::kBF16}) {
      const std::string name = "rope H=" + std::to_string(s.H) + " G=" + std::to_string(s.G) +
                               " D=" + std::to_string(s.D) + (s.rotate ? "" : " no rotation") +
                               (s.norm ? " normed" : "") + (dtype == DType::kBF16 ? " bf16" : " f32");
      cases.push_back({name, [=](const KernelTable& k) { check(s, dtype, k); }, {}});
    }
  }
  return cases;
}

}  // namespace mmprm
