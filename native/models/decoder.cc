#include "models/decoder.h"

#include <cmath>
#include <numeric>

namespace mmprm {
namespace {

// Every row's angles stand in a row of their own.
StepPlan with_own_angles(StepPlan plan) {
  std::iota(plan.positions_T.begin(), plan.positions_T.end(), 0);
  return plan;
}

}  // namespace

Decoder::Decoder(Device& device, const PackedDecoder& model, DType activation_dtype)
    : device_(device),
      model_(model),
      dtype_(activation_dtype),
      rope_(model.spec.rope, model.spec.head_dim_D),
      workspace_(device) {}

Decoder::StepOutput Decoder::step(const StepPlan& plan, const Pages& pages, const Tensor& image_rows,
                                  const Stop& stop) {
  const Pass pass = prepare(plan, pages, image_rows, false);
  workspace_.reserve(logits_, pass.plan.heads, head_width(), DType::kF32);
  run(pass, stop, true);
  return {logits_.part(0, pass.plan.heads), pairs_.part(0, pass.plan.pairs)};
}

Decoder::Output Decoder::forward(const StepPlan& plan, const Tensor& image_rows, bool want_hidden,
                                 const Stop& stop) {
  reserve_own_pages(plan);
  const Pass pass = prepare(plan, own_pages_, image_rows, want_hidden);
  const int block = std::min(pass.plan.heads, device_.info().row_block);
  workspace_.reserve(logits_, block, head_width(), DType::kF32);
  run(pass, stop, false);

  Output out;
  const int heads = static_cast<int>(plan.head_outputs.size()), num_pairs = int(plan.pair_outputs.size());
  out.width = heads > 0 ? head_width() : 2;
  out.values.resize(size_t(heads > 0 ? heads : num_pairs) * out.width);
  // WHY in blocks: the logits of all rows of a long sequence would be many times what a step needs.
  for_row_blocks(device_, heads, [&](int first, int rows) {
    const Tensor logits = logits_.part(0, rows);
    read_head(chosen_.part(first, rows), logits);
    device_.read(out.values.data() + size_t(first) * out.width, logits);
  });
  if (heads == 0 && num_pairs > 0) device_.read(out.values.data(), pairs_.part(0, num_pairs));
  if (want_hidden) {
    const int C = width(), outputs = plan.num_outputs(), states = model_.spec.layers_L + 1;
    out.hidden.resize(size_t(states) * outputs * C);
    for (int s = 0; s < states; ++s)
      device_.read(&out.hidden[size_t(s) * outputs * C], hidden_.part(s * pass.plan.outputs, outputs));
    workspace_.release(hidden_);
  }
  return out;
}

// Everything a pass works in, so that nothing is allocated while it runs.
Decoder::Pass Decoder::prepare(const StepPlan& plan, const Pages& pages, const Tensor& image_rows,
                               bool want_hidden) {
  const DecoderSpec& s = model_.spec;
  const Staged staged = device_.stage(plan.axes_T.empty() ? plan : with_own_angles(plan), pages);
  const int T = staged.rows, block = std::min(T, device_.info().row_block),
            heads_D = s.heads_H * s.head_dim_D;
  const auto reserve = [&](Tensor& t, int rows, int cols, DType dtype) {
    workspace_.reserve(t, rows, cols, dtype);
  };
  reserve(qkv_, block, (s.heads_H + 2 * s.kv_heads_G) * s.head_dim_D, DType::kF32);
  reserve(normed_, block, s.hidden_C, dtype_);
  reserve(mlp_, block, s.intermediate_F, dtype_);
  for (int i = 0; i < 2; ++i) {
    if (!model_.reward[i + 1].empty()) reserve(inner_[i], block, model_.reward[i].N, dtype_);
  }
  reserve(x_, T, s.hidden_C, DType::kF32);
  reserve(q_, T, heads_D, dtype_);
  reserve(attended_, T, heads_D, dtype_);
  reserve(kept_, staged.outputs, s.hidden_C, DType::kF32);
  reserve(chosen_, staged.heads, s.hidden_C, DType::kF32);
  reserve(pair_rows_, staged.pairs, s.hidden_C, DType::kF32);
  reserve(pairs_, staged.pairs, 2, DType::kF32);
  if (want_hidden) reserve(hidden_, (s.layers_L + 1) * staged.outputs, s.hidden_C, DType::kF32);
  return {staged, pages, image_rows, angles_of(plan, T), want_hidden};
}

Tensor Decoder::angles_of(const StepPlan& plan, int rows) {
  if (plan.axes_T.empty()) {
    reserve_table(plan);
    return angles_;
  }
  const size_t D = model_.spec.head_dim_D;
  std::vector<float> values(plan.axes_T.size() * D);
  for (size_t t = 0; t < plan.axes_T.size(); ++t) rope_.write_row(plan.axes_T[t], &values[t * D]);
  grow_angles(row_angles_, rows);
  write_angles(row_angles_, static_cast<int>(plan.axes_T.size()), values.data());
  return row_angles_;
}

void Decoder::reserve_table(const StepPlan& plan) {
  int wanted = 0;
  for (int32_t p : plan.positions_T) wanted = std::max(wanted, p + 1);
  if (wanted <= angles_.rows) return;
  wanted = std::max(wanted, std::min(2 * angles_.rows, model_.spec.max_positions));
  rope_.grow(wanted);
  grow_angles(angles_, wanted);
  write_angles(angles_, wanted, rope_.data());
}

// One row of numbers, seen as rows of D without gaps: what they hold is lost where they move.
void Decoder::grow_angles(Tensor& angles, int rows) {
  if (rows <= angles.rows) return;
  const int D = model_.spec.head_dim_D;
  Tensor line = angles;
  line.rows = line.empty() ? 0 : 1;
  workspace_.release(line);
  workspace_.reserve(line, 1, rows * D, DType::kF32);
  angles = {line.at, DType::kF32, rows, D, D};
}

void Decoder::write_angles(const Tensor& angles, int rows, const float* values) {
  const int size = rows * model_.spec.head_dim_D;
  device_.write({angles.at, DType::kF32, 1, size, size}, values);
}

void Decoder::reserve_own_pages(const StepPlan& plan) {
  int num_pages = 0;
  for (int32_t page : plan.pages) num_pages = std::max(num_pages, page + 1);
  if (num_pages <= own_pages_.count) return;
  device_.release(own_pages_);
  const DecoderSpec& s = model_.spec;
  own_pages_ = {};
  own_pages_ = device_.pages({1, s.kv_heads_G, s.head_dim_D, dtype_}, num_pages);
}

void Decoder::run(const Pass& pass, const Stop& stop, bool whole_head) {
  const int own_angles = pass.angles.at.value == row_angles_.at.value;
  const int variant = 4 * own_angles + 2 * pass.want_hidden + whole_head;
  const uint64_t graph = workspace_.graph(pass.pages, pass.image_rows, variant);
  device_.run({graph, pass.plan}, stop, [&] {
    compute(pass);
    if (!whole_head) return;
    for_row_blocks(device_, pass.plan.heads, [&](int first, int rows) {
      read_head(chosen_.part(first, rows), logits_.part(first, rows));
    });
  });
}

void Decoder::compute(const Pass& pass) {
  const int outputs = pass.plan.outputs, last = static_cast<int>(model_.layers.size()) - 1;
  const Tensor x = x_.part(0, pass.plan.rows), kept = kept_.part(0, outputs);
  const auto hidden = [&](int state) { return hidden_.part(state * outputs, outputs); };
  device_.prepare_pages({pass.plan, pass.pages});
  Tensor image_rows = pass.image_rows;
  if (!image_rows.empty()) image_rows = image_rows.columns(0, width());
  device_.embed({x, pass.plan, model_.embed, image_rows});
  for (int l = 0; l <= last; ++l) {
    const PackedDecoderLayer& layer = model_.layers[l];
    const int page_layer = pass.pages.shape.layers == 1 ? 0 : l;
    if (pass.want_hidden) device_.gather({hidden(l), x, pass.plan, RowList::kOutputs});
    write_qkv(layer, pass, page_layer);
    if (l == last && outputs == 0) return;
    const Tensor attended = attended_.part(0, l < last ? pass.plan.rows : outputs);
    device_.attention({attended, q_.part(0, pass.plan.rows), pass.plan, pass.pages, page_layer,
                       model_.spec.heads_H, l == last, model_.spec.window_of(l)});
    if (l == last) device_.gather({kept, x, pass.plan, RowList::kOutputs});
    project_and_mlp(layer, l < last ? x : kept, attended);
    add_features(l < last ? x : kept, pass, l);
  }
  if (pass.want_hidden) norm(model_.final_norm, hidden(last + 1), kept);
  read_outputs(pass);
}

// What the vision tower has to add after this layer, where it has: see PatchVision.
void Decoder::add_features(const Tensor& x, const Pass& pass, int layer) {
  const int C = width(), last = static_cast<int>(model_.layers.size()) - 1;
  if (pass.image_rows.empty() || pass.image_rows.cols < (2 + layer) * C) return;
  device_.add_image_rows({x, pass.plan, pass.image_rows.columns(int64_t(1 + layer) * C, C), layer == last});
}

void Decoder::write_qkv(const PackedDecoderLayer& layer, const Pass& pass, int page_layer) {
  const DecoderSpec& s = model_.spec;
  const float q_scale = float(1.0 / std::sqrt(double(s.head_dim_D)));
  for_row_blocks(device_, pass.plan.rows, [&](int first, int rows) {
    const Tensor normed = normed_.part(0, rows), qkv = qkv_.part(0, rows);
    norm(layer.attention_norm, normed, x_.part(first, rows));
    device_.linear({qkv, normed, layer.qkv, {}, Epilogue::kStore});
    device_.rope({q_.part(first, rows), qkv, pass.angles, pass.plan, pass.pages, first, page_layer, s.heads_H,
                  q_scale, layer.q_norm.weight, layer.k_norm.weight, layer.q_norm.eps});
  });
}

void Decoder::project_and_mlp(const PackedDecoderLayer& layer, const Tensor& x, const Tensor& attended) {
  for_row_blocks(device_, x.rows, [&](int first, int rows) {
    const Tensor block = x.part(first, rows), normed = normed_.part(0, rows), mlp = mlp_.part(0, rows);
    device_.linear({block, attended.part(first, rows), layer.o, {}, Epilogue::kAccumulate});
    norm(layer.ffn_norm, normed, block);
    device_.linear({mlp, normed, layer.gate_up, {}, Epilogue::kSwiglu});
    device_.linear({block, mlp, layer.down, {}, Epilogue::kAccumulate});
  });
}

void Decoder::read_outputs(const Pass& pass) {
  const Tensor kept = kept_.part(0, pass.plan.outputs);
  if (pass.plan.heads > 0)
    device_.gather({chosen_.part(0, pass.plan.heads), kept, pass.plan, RowList::kHeadOutputs});
  if (pass.plan.pairs == 0) return;
  const Tensor rows = pair_rows_.part(0, pass.plan.pairs);
  device_.gather({rows, kept, pass.plan, RowList::kPairOutputs});
  norm(model_.final_norm, rows, rows);
  device_.pair({pairs_.part(0, pass.plan.pairs), rows, model_.head_rows, pass.plan});
}

void Decoder::read_head(const Tensor& chosen, const Tensor& logits) {
  const Tensor normed = normed_.part(0, chosen.rows);
  norm(model_.final_norm, normed, chosen);
  if (!is_reward_model()) return device_.linear({logits, normed, model_.head, {}, Epilogue::kStore});
  Tensor from = normed;
  for (int i = 0; i < 2 && !model_.reward[i + 1].empty(); ++i) {
    const Tensor inner = inner_[i].part(0, chosen.rows);
    device_.linear({inner, from, model_.reward[i], {}, Epilogue::kRelu});
    from = inner;
  }
  device_.linear({logits, from, last_reward(), {}, Epilogue::kStore});
}

void Decoder::norm(const NormWeights& norm, const Tensor& y, const Tensor& x) {
  device_.norm({y, x, norm.weight, norm.bias, norm.eps});
}

}  // namespace mmprm
