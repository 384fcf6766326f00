// The backward pass of every op of the trainer by finite differences, on the reference kernels in fp32. What
// needs a whole model (embedding, patches, pixel shuffle, markers) is checked the same way from TypeScript.
#include "finite_difference.h"
#include "train/train_ops.h"

namespace mmprm {
namespace {

constexpr int kRows = 5;

// Rows with a gap behind each, as activations have.
struct Matrix {
  int rows, cols;
  std::vector<float> values;

  Matrix(int r, int c, uint32_t seed, double deviation = 1)
      : rows(r), cols(c), values(grid_values(size_t(r) * (c + 3), seed, deviation)) {}
  Rows view() {
    Rows out;
    out.data = values.data();
    out.stride = cols + 3;
    out.rows = rows;
    out.cols = cols;
    return out;
  }
  std::vector<double> flat() {
    std::vector<double> out;
    for (float* v : elements()) out.push_back(*v);
    return out;
  }
  std::vector<float*> elements() {
    std::vector<float*> out;
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < cols; ++c) out.push_back(&values[size_t(r) * (cols + 3) + c]);
    }
    return out;
  }
};

struct Trained : Parameter {
  Trained(int r, int c, uint32_t seed, double deviation = 1) {
    rows = r;
    cols = c;
    trainable = true;
    value_storage.reserve(size() * sizeof(float));
    gradient_storage.reserve(size() * sizeof(float));
    const std::vector<float> values = grid_values(size(), seed, deviation);
    std::copy(values.begin(), values.end(), value());
  }
  Variable variable(std::string name) {
    Variable out{std::move(name), {}, {}};
    for (size_t i = 0; i < size(); ++i) {
      out.elements.push_back(value() + i);
      out.gradient.push_back(gradient()[i]);
    }
    return out;
  }
};

struct Fixture {
  ThreadPool pool{2};
  TrainOps ops{kernel_table(Isa::kReference), pool, DType::kF32};
};

// c as fp32 rows: the gradient that arrives from above.
Matrix incoming(int rows, int cols) { return Matrix(rows, cols, 99); }

void check_linear(bool with_bias, bool with_adapters) {
  Fixture f;
  const int K = 7, N = 6, rank = 2;
  Matrix x(kRows, K, 1), y(kRows, N, 2), dy = incoming(kRows, N), dx(kRows, K, 3);
  Trained w(N, K, 4), bias(N, 1, 5), a1(rank, K, 6), b1(4, rank, 7), a2(rank, K, 8), b2(2, rank, 9);
  TrainLinear linear{&w, with_bias ? &bias : nullptr, {}};
  // As in q|k|v: one adapter's rows lie in two places of the weight, another's between them.
  if (with_adapters) {
    linear.adapters.push_back({&a1, &b1, 0.5f, {{0, 0, 2}, {4, 2, 2}}});
    linear.adapters.push_back({&a2, &b2, 2.0f, {{2, 0, 2}}});
  }
  f.ops.linear_grad_weight(linear, x.view(), dy.view());
  f.ops.linear_grad_input(linear, dy.view(), dx.view());
  const auto forward = [&] {
    f.ops.linear(linear, x.view(), y.view());
    return y.flat();
  };
  std::vector<Variable> variables{{"x", x.elements(), dx.flat()}, w.variable("w")};
  if (with_bias) variables.push_back(bias.variable("bias"));
  if (with_adapters) {
    for (auto& [p, name] : {std::pair{&a1, "A1"}, {&b1, "B1"}, {&a2, "A2"}, {&b2, "B2"}}) {
      variables.push_back(p->variable(name));
    }
  }
  check_gradients("linear", {forward, dy.flat(), with_adapters ? 4 : 1}, variables);
}

void check_norm(bool centred) {
  Fixture f;
  const int C = 9;
  Matrix x(kRows, C, 1), y(kRows, C, 2), dy = incoming(kRows, C), dx(kRows, C, 3);
  Trained weight(C, 1, 4), bias(C, 1, 5);
  const TrainNorm norm{&weight, centred ? &bias : nullptr, 1e-5f};
  const std::vector<double> before = dx.flat();  // which the gradient is added to
  f.ops.norm_grad(norm, x.view(), dy.view(), dx.view());
  std::vector<double> added = dx.flat();
  for (size_t i = 0; i < added.size(); ++i) added[i] -= before[i];
  const auto forward = [&] {
    f.ops.norm(norm, x.view(), y.view());
    return y.flat();
  };
  std::vector<Variable> variables{{"x", x.elements(), added}, weight.variable("weight")};
  if (centred) variables.push_back(bias.variable("bias"));
  check_gradients(centred ? "layer norm" : "rms norm", {forward, dy.flat(), 2}, variables);
}

using Segments = std::vector<TreeSegment>;

void check_attention(const Segments& segments, const std::vector<int32_t>& trees, bool causal, int H, int G) {
  Fixture f;
  const int D = 4;
  int rows = 0, most = 0;
  for (const TreeSegment& s : segments) {
    rows = std::max(rows, s.first_row + s.num_rows);
    int keys = 0;
    for (const TreeSegment* at = &s; at; at = at->parent < 0 ? nullptr : &segments[at->parent])
      keys += at->num_rows;
    most = std::max(most, keys);
  }
  Matrix qkv(rows, (H + 2 * G) * D, 1), o(rows, H * D, 2), d_o = incoming(rows, H * D),
                                                           d_qkv(rows, qkv.cols, 3);
  std::vector<float> lse(size_t(rows) * H);
  TreeAttentionArgs args;
  args.qkv = qkv.values.data();
  args.qkv_stride = qkv.view().stride;
  args.segments = segments.data();
  args.tree_begin_1 = trees.data();
  args.num_trees = int(trees.size()) - 1;
  args.max_keys = most;
  args.causal = causal;
  args.num_heads_H = H;
  args.num_heads_G = G;
  args.head_dim_D = D;
  args.o = o.values.data();
  args.o_stride = o.view().stride;
  args.lse_TH = lse.data();
  args.d_o = d_o.values.data();
  args.d_o_stride = d_o.view().stride;
  args.d_qkv = d_qkv.values.data();
  const auto forward = [&] {
    f.ops.attention(args);
    return o.flat();
  };
  forward();
  f.ops.attention_grad(args);
  check_gradients("attention", {forward, d_o.flat(), 1}, {{"qkv", qkv.elements(), d_qkv.flat()}});
}

}  // namespace

TEST(gradient_of_linear) {
  check_linear(false, false);
  check_linear(true, false);
}
TEST(gradient_of_low_rank_adapters) { check_linear(true, true); }
TEST(gradient_of_rms_norm) { check_norm(false); }
TEST(gradient_of_layer_norm) { check_norm(true); }

TEST(gradient_of_attention) {
  const Segments tree{{0, 3, -1}, {3, 2, 0}, {5, 2, 1}, {7, 1, 1}, {8, 3, 0}};
  check_attention(tree, {0, 5}, true, 2, 2);
  check_attention(tree, {0, 5}, true, 4, 2);
  check_attention({{0, 4, -1}, {4, 5, -1}}, {0, 1, 2}, true, 2, 1);
  check_attention({{0, 5, -1}, {5, 5, -1}}, {0, 1, 2}, false, 2, 2);
}

TEST(gradient_of_rotation) {
  Fixture f;
  const int D = 6, heads = 3;
  Matrix x(kRows, heads * D, 1), y = x, dy = incoming(kRows, heads * D);
  std::vector<float> cos_sin;
  for (int p = 0; p < kRows; ++p) {
    for (int i = 0; i < D / 2; ++i) cos_sin.push_back(float(std::cos(p * std::pow(0.1, i))));
    for (int i = 0; i < D / 2; ++i) cos_sin.push_back(float(std::sin(p * std::pow(0.1, i))));
  }
  const std::vector<int32_t> positions{3, 1, 4, 0, 2};
  const auto args = [&](Matrix& m, float sign) {
    return RotateArgs{m.values.data(), m.view().stride, cos_sin.data(), positions.data(), heads, D, sign};
  };
  const auto forward = [&] {
    y.values = x.values;
    f.ops.rotate(args(y, 1), kRows);
    return y.flat();
  };
  Matrix dx = dy;
  f.ops.rotate(args(dx, -1), kRows);
  check_gradients("rotation", {forward, dy.flat(), 1}, {{"x", x.elements(), dx.flat()}});
}

TEST(gradient_of_swiglu) {
  Fixture f;
  const int F = 8;
  Matrix x(kRows, 2 * F, 1, 2), y(kRows, F, 2), dy = incoming(kRows, F);
  const auto forward = [&] {
    f.ops.swiglu(x.view(), y.view());
    return y.flat();
  };
  const std::vector<double> expected = forward();
  Matrix dx = x, again = dy;
  f.ops.swiglu_grad(dx.view(), again.view());
  CHECK(again.flat() == expected);  // the output is left in place of its gradient
  check_gradients("swiglu", {forward, dy.flat(), 1}, {{"gate|up", x.elements(), dx.flat()}});
}

void check_gelu(const char* name, void (TrainOps::*gelu)(const Rows&, const Rows&),
                void (TrainOps::*gelu_grad)(const Rows&, const Rows&)) {
  Fixture f;
  const int F = 12;
  Matrix x(kRows, F, 1, 2), y(kRows, F, 2), dy = incoming(kRows, F);
  const auto forward = [&] {
    (f.ops.*gelu)(x.view(), y.view());
    return y.flat();
  };
  const std::vector<double> expected = forward();
  Matrix dx = x, again = dy;
  (f.ops.*gelu_grad)(dx.view(), again.view());
  CHECK(again.flat() == expected);
  check_gradients(name, {forward, dy.flat(), 1}, {{"x", x.elements(), dx.flat()}});
}

TEST(gradient_of_gelu) {
  check_gelu("gelu", &TrainOps::gelu, &TrainOps::gelu_grad);
  check_gelu("gelu_tanh", &TrainOps::gelu_tanh, &TrainOps::gelu_tanh_grad);
}

TEST(gradient_of_joined_rows) {
  Fixture f;
  const int C = 3, n = 2;
  Matrix x(n * kRows, C, 1), y(kRows, n * C, 2), dy = incoming(kRows, n * C), dx(n * kRows, C, 3);
  f.ops.clear(dx.view());
  f.ops.join_grad(dy.view(), dx.view());
  const auto forward = [&] {
    f.ops.join(x.view(), y.view());
    return y.flat();
  };
  check_gradients("join", {forward, dy.flat(), 1}, {{"x", x.elements(), dx.flat()}});
}

TEST(gradient_of_mixed_rows) {
  Fixture f;
  const int C = 70;  // more than one strip
  Trained table(4, C, 1);
  Matrix y(kRows, C, 2), dy = incoming(kRows, C);
  std::vector<PositionMix> mixes;  // some rows twice in one sum
  for (int r = 0; r < kRows; ++r) mixes.push_back({{r % 4, 3 - r % 4, 1, 1}, {0.5f, 0.25f, 0.125f, 0.125f}});
  f.ops.mix_grad(table, mixes, dy.view());
  const auto forward = [&] {
    f.ops.mix(table, mixes, y.view());
    return y.flat();
  };
  check_gradients("mix", {forward, dy.flat(), 1}, {table.variable("table")});
}

TEST(gradient_of_chosen_rows) {
  Fixture f;
  const int C = 70;
  const std::vector<int32_t> ids{4, -2, -1, 0, -2};
  const Matrix below(kRows, C, 1);
  Matrix rows(2, C, 2), x = below, dx = incoming(kRows, C), d_rows(2, C, 3);
  f.ops.clear(d_rows.view());
  f.ops.add_chosen_grad(ids, dx.view(), d_rows.view());
  const auto forward = [&] {
    x = below;
    f.ops.add_chosen(ids, rows.view(), x.view());
    return x.flat();
  };
  check_gradients("chosen rows", {forward, dx.flat(), 1}, {{"rows", rows.elements(), d_rows.flat()}});
}

TEST(gradient_of_layer_scale) {
  Fixture f;
  const int C = 7;
  Matrix x(kRows, C, 1), z(kRows, C, 2), y(kRows, C, 3), dy = incoming(kRows, C), dz(kRows, C, 4);
  Trained scale(C, 1, 5);
  f.ops.scaled_grad(dy.view(), scale, z.view(), dz.view());
  const auto forward = [&] {
    f.ops.scaled_add(x.view(), scale, z.view(), y.view());
    return y.flat();
  };
  check_gradients("layer scale", {forward, dy.flat(), 1},
                  {{"x", x.elements(), dy.flat()}, {"z", z.elements(), dz.flat()}, scale.variable("scale")});
}

TEST(gradient_of_cross_entropy) {
  Fixture f;
  const int V = 11;
  Matrix logits(kRows, V, 1, 2), work = logits;
  const std::vector<int> target{0, 10, 3, 3, 7};
  std::vector<float> scale{1, 0.5f, 0, 2, 0.25f}, lse(kRows), largest(kRows);
  const auto run = [&] {
    work.values = logits.values;
    f.ops.cross_entropy({work.values.data(), work.view().stride, V, scale.data(), lse.data(), largest.data()},
                        kRows);
  };
  run();
  Matrix gradient = work;
  std::vector<double> c;
  for (int r = 0; r < kRows; ++r) {
    gradient.view().row(r)[target[r]] -= scale[r];
    c.push_back(scale[r]);
  }
  const auto forward = [&] {
    run();
    std::vector<double> losses;
    for (int r = 0; r < kRows; ++r) losses.push_back(double(lse[r]) - logits.view().row(r)[target[r]]);
    return losses;
  };
  check_gradients("cross-entropy", {forward, c, 1}, {{"logits", logits.elements(), gradient.flat()}});
}

}  // namespace mmprm
