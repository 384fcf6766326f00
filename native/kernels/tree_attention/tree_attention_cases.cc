// Cases of tree_attention: single sequences, trees with shared beginnings, tiles without causal order,
// grouped heads; outputs and gradients against the reference.
#include <cmath>
#include <random>

#include "cpu/aligned_buffer.h"
#include "kernels/kernel_case.h"

namespace mmprm {
namespace {

struct Problem {
  std::string name;
  std::vector<TreeSegment> segments;
  std::vector<int32_t> tree_begin_1;
  bool causal = true;
  int H = 2, G = 2, D = 8, window = 0, rows = 0, max_keys = 0;

  int64_t stride() const { return int64_t(H + 2 * G) * D + 3; }
  int64_t o_stride() const { return int64_t(H) * D + 1; }
};

Problem problem(std::string name, std::vector<TreeSegment> segments, std::vector<int32_t> tree_begin_1,
                bool causal, int H, int G, int D, int window = 0) {
  Problem p{std::move(name), std::move(segments), std::move(tree_begin_1), causal, H, G, D, window};
  for (const TreeSegment& s : p.segments) {
    p.rows = std::max(p.rows, s.first_row + s.num_rows);
    int keys = 0;
    for (const TreeSegment* at = &s; at; at = at->parent < 0 ? nullptr : &p.segments[at->parent])
      keys += at->num_rows;
    p.max_keys = std::max(p.max_keys, keys);
  }
  return p;
}

struct Run {
  std::vector<float> o, lse, d_qkv;
};

Run run(const Problem& p, const KernelTable& kernels, DType compute) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> qkv(p.rows * p.stride()), d_o(p.rows * p.o_stride());
  for (auto* values : {&qkv, &d_o}) {
    for (float& v : *values) v = normal(random);
  }
  Run out{std::vector<float>(d_o.size()), std::vector<float>(size_t(p.rows) * p.H),
          std::vector<float>(qkv.size(), NAN)};
  TreeAttentionArgs args;
  args.qkv = qkv.data();
  args.qkv_stride = p.stride();
  args.segments = p.segments.data();
  args.tree_begin_1 = p.tree_begin_1.data();
  args.num_trees = int(p.tree_begin_1.size()) - 1;
  args.max_keys = p.max_keys;
  args.causal = p.causal;
  args.window = p.window;
  args.num_heads_H = p.H;
  args.num_heads_G = p.G;
  args.head_dim_D = p.D;
  args.compute = compute;
  args.o = out.o.data();
  args.o_stride = args.d_o_stride = p.o_stride();
  args.lse_TH = out.lse.data();
  args.lse_stride = p.H;
  args.d_o = d_o.data();
  args.d_qkv = out.d_qkv.data();
  AlignedBuffer scratch(kernels.tree_attention.scratch_floats(args) * sizeof(float) + 64);
  for (int64_t u = tree_attention_units(args) - 1; u >= 0; --u) {
    kernels.tree_attention.forward(args, u, scratch.as<float>());
  }
  for (int64_t u = tree_attention_units(args) - 1; u >= 0; --u) {
    kernels.tree_attention.backward(args, u, scratch.as<float>());
  }
  return out;
}

// Relative by norm, over the columns that exist.
double distance(const std::vector<float>& a, const std::vector<float>& b, int64_t stride, int64_t cols) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (int64_t(i) % stride >= cols) continue;
    difference += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
    norm += double(b[i]) * b[i];
  }
  return std::sqrt(difference / norm);
}

void check(const Problem& p, DType compute, const KernelTable& kernels) {
  const Run actual = run(p, kernels, compute), expected = run(p, kernel_table(Isa::kReference), DType::kF32);
  const bool rounds = kernels.isa == Isa::kAvx512Bf16 && compute == DType::kBF16;
  const double limit = rounds ? 2e-2 : 3e-6;
  require(distance(actual.o, expected.o, p.o_stride(), p.o_stride() - 1) <= limit, "outputs");
  require(distance(actual.d_qkv, expected.d_qkv, p.stride(), p.stride() - 3) <= limit, "gradients");
}

}  // namespace

std::vector<KernelCase> tree_attention_cases() {
  const Problem problems[] = {
      problem("one row", {{0, 1, -1}}, {0, 1}, true, 1, 1, 4),
      problem("two sequences", {{0, 70, -1}, {70, 33, -1}}, {0, 1, 2}, true, 3, 3, 20),
      problem("grouped heads", {{0, 130, -1}}, {0, 1}, true, 6, 2, 32),
      problem("tree", {{0, 19, -1}, {19, 5, 0}, {24, 66, 1}, {90, 1, 1}, {91, 12, 0}}, {0, 5}, true, 4, 2,
              16),
      problem("a window", {{0, 150, -1}}, {0, 1}, true, 2, 1, 16, 70),
      problem("a tree behind a window", {{0, 19, -1}, {19, 5, 0}, {24, 66, 1}, {90, 1, 1}, {91, 12, 0}},
              {0, 5}, true, 4, 2, 16, 9),
      problem("a window of one", {{0, 66, -1}, {66, 3, 0}}, {0, 2}, true, 2, 2, 8, 1),
      problem("tiles", {{0, 65, -1}, {65, 65, -1}}, {0, 1, 2}, false, 2, 2, 24),
  };
  std::vector<KernelCase> cases;
  for (const Problem& p : problems) {
    for (DType compute : {DType::kF32, DType::kBF16}) {
      const std::string name = "tree_attention " + p.name + (compute == DType::kBF16 ? " bf16" : " f32");
      cases.push_back({name, [p, compute](const KernelTable& k) { check(p, compute, k); }, {}});
    }
  }
  return cases;
}

}  // namespace mmprm
