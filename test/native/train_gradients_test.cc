// The backward pass of every op of the trainer by finite differences, on the reference kernels in fp32. What
// needs a whole model (embedding, patches, pixel shuffle, markers) is checked the same way from TypeScript.
#include <deque>

#include "train/margin_loss.h"
#include "train/train_head.h"
#include "train_fixture.h"

namespace mmprm {
namespace {

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

void check_attention(const Segments& segments, const std::vector<int32_t>& trees, bool causal, int H, int G,
                     int window = 0) {
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
  Matrix lse(rows, H, 4);
  TreePlan plan;
  plan.segments = segments;
  plan.tree_begin_1 = trees;
  plan.max_keys = most;
  plan.causal = causal;
  TreesOnDevice staged(f.device_ops);
  staged.stage(plan);
  const TreeAttentionOp op{o.view(), lse.view(), qkv.view(), staged, H, G, DType::kF32, window};
  const auto forward = [&] {
    f.ops.attention(op);
    return o.flat();
  };
  forward();
  f.ops.attention_grad(op, d_o.view(), d_qkv.view());
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
  check_attention(tree, {0, 5}, true, 4, 2, 3);
  check_attention({{0, 4, -1}, {4, 5, -1}}, {0, 1, 2}, true, 2, 1);
  check_attention({{0, 5, -1}, {5, 5, -1}}, {0, 1, 2}, false, 2, 2);
}

TEST(gradient_of_rotation) {
  Fixture f;
  const int D = 6, heads = 3;
  Matrix x(kRows, heads * D, 1), y = x, dy = incoming(kRows, heads * D);
  Matrix angles(kRows, D, 5);
  for (int p = 0; p < kRows; ++p) {
    for (int i = 0; i < D / 2; ++i) angles.at(p, i) = float(std::cos(p * std::pow(0.1, i)));
    for (int i = 0; i < D / 2; ++i) angles.at(p, D / 2 + i) = float(std::sin(p * std::pow(0.1, i)));
  }
  TreePlan plan;
  plan.positions_T = {3, 1, 4, 0, 2};
  TreesOnDevice staged(f.device_ops);
  staged.stage(plan);
  const auto forward = [&] {
    y.values = x.values;
    f.device_ops.rotate({y.view(), angles.view(), staged, heads, 1});
    return y.flat();
  };
  Matrix dx = dy;
  f.device_ops.rotate({dx.view(), angles.view(), staged, heads, -1});
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

void check_gelu(const char* name, void (TrainOps::*gelu)(const Tensor&, const Tensor&),
                void (TrainOps::*gelu_grad)(const Tensor&, const Tensor&)) {
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

TEST(gradient_of_folded_rows_that_is_added) {
  Fixture f;
  const int C = 3, side = 2;
  Matrix x(side * side * kRows, C, 1), y(kRows, side * side * C, 2), dy = incoming(kRows, side * side * C);
  Matrix dx(x.rows, C, 3);
  const std::vector<double> before = dx.flat();
  UnfoldOp op{dx.view(), dy.view(), side, side};
  op.add = true;
  f.device_ops.unfold(op);
  std::vector<double> added = dx.flat();
  for (size_t i = 0; i < added.size(); ++i) added[i] -= before[i];
  const auto forward = [&] {
    f.device.fold({y.view(), x.view(), side, side});
    return y.flat();
  };
  check_gradients("fold", {forward, dy.flat(), 1}, {{"x", x.elements(), added}});
}

TEST(gradient_of_mixed_rows) {
  Fixture f;
  const int C = 70, taps = 4;  // more than one strip
  Trained table(4, C, 1);
  Matrix y(kRows, C, 2), dy = incoming(kRows, C);
  std::vector<int32_t> rows;  // some rows twice in one sum
  std::vector<float> weights;
  for (int r = 0; r < kRows; ++r) {
    for (int32_t row : {r % 4, 3 - r % 4, 1, 1}) rows.push_back(row);
    for (float weight : {0.5f, 0.25f, 0.125f, 0.125f}) weights.push_back(weight);
  }
  f.device_ops.mix_rows_grad({table.gradient, dy.view(), rows.data(), weights.data(), taps});
  const auto forward = [&] {
    f.device_ops.mix_rows({y.view(), table.value, rows.data(), weights.data(), taps});
    return y.flat();
  };
  check_gradients("mix", {forward, dy.flat(), 1}, {table.variable("table")});
}

TEST(gradient_of_looked_up_rows_that_are_added) {
  Fixture f;
  const int C = 70;
  TreePlan plan;
  plan.tokens_T = {4, -2, -1, 0, -2};
  TreesOnDevice staged(f.device_ops);
  staged.stage(plan);
  const Matrix below(kRows, C, 1);
  Matrix rows(2, C, 2), x = below, dx = incoming(kRows, C), d_rows(2, C, 3);
  f.ops.clear(d_rows.view());
  f.device_ops.look_up_grad({{}, d_rows.view(), dx.view(), staged});
  const auto forward = [&] {
    x = below;
    f.device_ops.add_looked_up({x.view(), rows.view(), staged});
    return x.flat();
  };
  check_gradients("looked up rows", {forward, dx.flat(), 1}, {{"rows", rows.elements(), d_rows.flat()}});
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
  // Two terms of one row, a row without terms, a term without weight.
  const std::vector<TokenLossOp::Term> terms{{0, 0, 1}, {1, 10, 0.5}, {1, 3, 2}, {3, 3, 0}, {4, 7, 0.25}};
  const int num_terms = int(terms.size());
  const double scale = 0.5;
  Matrix values(num_terms, 3, 2);
  const auto run = [&] {
    work.values = logits.values;
    f.device_ops.token_loss({values.view(), work.view(), terms.data(), num_terms, scale});
  };
  run();
  Matrix gradient = work;
  std::vector<double> c;
  for (int i = 0; i < num_terms; ++i) {
    c.push_back(scale * terms[i].weight);
    float largest = -INFINITY;
    for (int v = 0; v < V; ++v) largest = std::max(largest, logits.at(terms[i].row, v));
    CHECK_EQ(values.at(i, 2), largest);
  }
  const auto forward = [&] {
    run();
    std::vector<double> losses;
    for (int i = 0; i < num_terms; ++i) losses.push_back(double(values.at(i, 0)) - values.at(i, 1));
    return losses;
  };
  check_gradients("cross-entropy", {forward, c, 1}, {{"logits", logits.elements(), gradient.flat()}});
}

TEST(gradient_of_margins) {
  Fixture f;
  const int C = 9, V = 4, rows = 3;
  Matrix h(rows, C, 1), d_h(rows, C, 2);
  Trained head(V, C, 3);
  std::vector<double> margins(rows);
  const std::vector<double> d_margins{0.5, 0, -2};
  const MarginsOp op{{address_of(margins.data()), DType::kF64, rows, 1, 1}, h.view(), head.value, {3, 1}};
  f.device_ops.margins_grad({d_h.view(), head.gradient, h.view(), head.value, d_margins.data(), {3, 1}});
  const auto forward = [&] {
    f.device_ops.margins(op);
    return margins;
  };
  check_gradients("margins", {forward, d_margins, 1},
                  {{"h", h.elements(), d_h.flat()}, head.variable("head")});
}

TEST(gradient_of_relu) {
  Fixture f;
  const int F = 12;
  Matrix x(kRows, F, 1, 2), y(kRows, F, 2), dy = incoming(kRows, F);
  for (float* v : x.elements()) *v += *v < 0 ? -0.5f : 0.5f;  // no step crosses the bend
  const auto forward = [&] {
    y.values = x.values;
    f.device_ops.relu({y.view()});
    return y.flat();
  };
  forward();
  Matrix dx = dy;
  f.device_ops.relu_grad({dx.view(), y.view()});
  check_gradients("relu", {forward, dy.flat(), 1}, {{"x", x.elements(), dx.flat()}});
}

// One product, two with a ReLU between, and an ensemble: the same code from three descriptions.
void check_head(const char* name, const std::vector<HeadLayer>& shapes) {
  Fixture f;
  Matrix x(kRows, shapes[0].in, 1), dx(kRows, shapes[0].in, 2);
  TrainHead head;
  std::deque<Trained> weights;
  std::vector<Variable> variables;
  for (HeadLayer l : shapes) {
    const uint32_t seed = 40 + 2 * uint32_t(weights.size());
    l.weight =
        &weights.emplace_back(l.heads * (l.in_out ? l.in : l.out), l.in_out ? l.out : l.in, seed, 0.25);
    Trained& bias = weights.emplace_back(l.heads * l.out, 1, seed + 1);
    // Half of the inner units are on and half are off: no step crosses a bend.
    for (size_t i = 0; head.layers.size() + 1 < shapes.size() && i < bias.size(); ++i)
      bias.values[i] += i % 2 ? 3 : -6;
    l.bias = &bias;
    head.layers.push_back(l);
  }
  HeadPass pass(head, f.ops);
  Matrix dy = incoming(kRows, head.outputs());
  const std::vector<double> c = dy.flat();
  const auto forward = [&] {
    std::vector<float> logits(c.size());
    f.device.read(logits.data(), pass.forward(x.view()));
    return std::vector<double>(logits.begin(), logits.end());
  };
  forward();
  pass.backward({c.begin(), c.end()}, dx.view());
  variables.push_back({"x", x.elements(), dx.flat()});
  for (size_t i = 0; i < weights.size(); ++i)
    variables.push_back(weights[i].variable("weights " + std::to_string(i)));
  check_gradients(name, {forward, c, 2}, variables);
}

TEST(gradient_of_reward_heads) {
  check_head("value head", {{1, 9, 1}});
  check_head("two layers", {{1, 6, 6}, {1, 6, 2}});
  // Two of an ensemble's three products at a time: behind a second ReLU a gradient is too small beside what is rounded.
  check_head("ensemble", {{3, 6, 4, true}, {3, 4, 2, true}});
  check_head("ensemble's end", {{3, 6, 4, true}, {3, 4, 1}});
}

// Margins as they come from float rows; labels with ties, pairs closer than the margin, steps that do not count, two steps
// in one row, a set without a pair, and steps of no set.
void check_margin_loss(int heads, const RankOptions& rank) {
  const std::vector<MarkerTerm> terms{
      {0, 0.75f, 1, 0, 0, 0}, {1, 0.25f, 0.5f, 1, 0, 0}, {1, 0.2f, 2, 2, 0, 0}, {3, 0.25f, 1, 3, 0, 0},
      {4, 1, 0, 4, 0, 0},     {5, 0.5f, 1, 5, 0, 1},     {6, 0.5f, 1, 6, 0, 1}, {7, 0.9f, 1, 7, 0, 7},
      {8, 0.8f, 3, 8, 0, 7},  {9, 0.4f, 0.25f, 9, 0, -1}};
  const int rows = 9;
  std::vector<float> z = grid_values(size_t(rows) * heads, 5, 2);
  const auto loss_of = [&] { return margin_loss(terms, {z.begin(), z.end()}, heads, rank, 0.5); };
  const auto forward = [&] { return std::vector<double>{loss_of().result.loss}; };
  std::vector<float*> elements;
  for (float& v : z) elements.push_back(&v);
  const MarginLoss loss = loss_of();
  CHECK_EQ(loss.result.num_terms, 9);
  check_gradients("margin loss", {forward, {0.5}, 1}, {{"z", elements, loss.d_margins}});
}

TEST(gradient_of_value_and_rank_losses) {
  for (int heads : {1, 3}) {
    check_margin_loss(heads, {});
    check_margin_loss(heads, {0.5, 0.1});
    check_margin_loss(heads, {2, 0});
  }
}

TEST(rank_loss_by_hand) {
  // Of one set of three: 0.9 and 0.8 are a pair, for they differ by the margin but for rounding; 0.8 and 0.75 are none.
  const std::vector<MarkerTerm> terms{{0, 0.9f, 1, 0, 0, 4}, {1, 0.8f, 1, 1, 0, 4}, {2, 0.75f, 2, 2, 0, 4}};
  const std::vector<double> z{1, 0.5, -1};
  const auto softplus = [](double x) { return std::log1p(std::exp(x)); };
  const double value = margin_loss(terms, z, 1, {}, 1).result.loss;
  const double ranked = margin_loss(terms, z, 1, {0.5, 0.1}, 1).result.loss;
  CHECK(std::abs(ranked - value - 0.5 * 4 * (softplus(-0.5) + softplus(-2)) / 2) < 1e-12);
}

}  // namespace mmprm
