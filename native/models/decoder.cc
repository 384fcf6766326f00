#include "models/decoder.h"

#include <cmath>
#include <cstring>
#include <numeric>

#include "base/float_types.h"
#include "models/linear.h"

namespace mmprm {

Decoder::Decoder(const PackedDecoder& model, DType activation_dtype)
    : model_(model),
      dtype_(activation_dtype),
      rope_(model.spec.rope, model.spec.head_dim_D),
      x_(model.spec.hidden_C, DType::kF32),
      output_(model.spec.hidden_C, DType::kF32),
      qkv_((model.spec.heads_H + 2 * model.spec.kv_heads_G) * model.spec.head_dim_D, DType::kF32),
      normed_(model.spec.hidden_C, activation_dtype),
      mlp_(model.spec.intermediate_F, activation_dtype),
      q_(model.spec.heads_H * model.spec.head_dim_D, activation_dtype),
      attended_(model.spec.heads_H * model.spec.head_dim_D, activation_dtype) {}

DecoderOutput Decoder::forward(const StepPlan& plan, const float* image_rows, const Readout& readout,
                               const KernelRunner& run) {
  reserve_own_pages(plan);
  const DecoderSpec& s = model_.spec;
  const KvLayers kv{{own_pages_.data(), dtype_, s.kv_heads_G, s.head_dim_D}, 0};
  DecoderOutput hidden;
  compute(plan, kv, image_rows, run, readout.hidden ? &hidden : nullptr);
  std::vector<int32_t> outputs(plan.output_rows.size());
  std::iota(outputs.begin(), outputs.end(), 0);
  DecoderOutput out;
  if (readout.kind == ReadoutKind::kLogits) {
    out.width = s.vocab_V;
    out.values.resize(outputs.size() * s.vocab_V);
    read_logits(outputs, out.values.data(), run);
  } else {
    out = read_scores(outputs, readout, run);
  }
  out.hidden = std::move(hidden.hidden);
  return out;
}

void Decoder::step(const StepPlan& plan, const KvLayers& kv, const float* image_rows,
                   const KernelRunner& run) {
  compute(plan, kv, image_rows, run, nullptr);
}

void Decoder::compute(const StepPlan& plan, const KvLayers& kv, const float* image_rows,
                      const KernelRunner& run, DecoderOutput* hidden) {
  reserve(plan);
  embed(plan, image_rows);
  const int num_outputs = static_cast<int>(plan.output_rows.size());
  const int last = static_cast<int>(model_.layers.size()) - 1;
  std::vector<int32_t> kept = plan.output_rows;  // where the output rows stand in x_
  for (int l = 0; l <= last; ++l) {
    run.check_cancelled();
    const PackedDecoderLayer& layer = model_.layers[l];
    const KvPages pages = kv.layer(l);
    if (hidden) capture_hidden(kept, *hidden);
    write_qkv(layer, plan, pages, run);
    if (l < last) {
      attend(rows_T_, nullptr, pages, run);
      project_and_mlp(layer, plan.num_rows(), run);
    } else if (num_outputs > 0) {
      std::vector<RowKeys> rows;
      for (int32_t r : plan.output_rows) rows.push_back(rows_T_[r]);
      attend(rows, plan.output_rows.data(), pages, run);
      keep_output_rows(plan);
      std::iota(kept.begin(), kept.end(), 0);
      project_and_mlp(layer, num_outputs, run);
    }
  }
  if (!hidden) return;
  norm_outputs(kept, output_, run);
  for (int r = 0; r < num_outputs; ++r) {
    hidden->hidden.insert(hidden->hidden.end(), output_.row_f32(r), output_.row_f32(r) + output_.cols());
  }
}

void Decoder::reserve(const StepPlan& plan) {
  const int T = plan.num_rows(), block = std::min(T, KernelRunner::kRowBlock);
  int num_positions = 0;
  for (int32_t p : plan.positions_T) num_positions = std::max(num_positions, p + 1);
  rope_.grow(num_positions);
  rows_T_.clear();
  for (const KeyRun& seen : plan.keys_T) rows_T_.push_back({plan.pages.data() + seen.first, seen.num_keys});
  for (RowBuffer* all : {&x_, &q_, &attended_}) all->reserve(T);
  for (RowBuffer* part : {&qkv_, &normed_, &mlp_}) part->reserve(block);
  output_.reserve(static_cast<int>(plan.output_rows.size()));
}

void Decoder::reserve_own_pages(const StepPlan& plan) {
  const size_t page_bytes = KvStore::page_bytes(1, model_.spec.kv_heads_G, model_.spec.head_dim_D, dtype_);
  int num_pages = 0;
  for (int32_t page : plan.pages) num_pages = std::max(num_pages, page + 1);
  own_pages_.reserve(num_pages * page_bytes);
  // INVARIANT: slots that no row fills hold finite numbers, whatever an earlier call left there.
  std::vector<int> filled(num_pages);
  for (const Slot& slot : plan.slots) ++filled[slot.page];
  for (int p = 0; p < num_pages; ++p) {
    if (filled[p] < kPageTokens) std::memset(own_pages_.data() + p * page_bytes, 0, page_bytes);
  }
}

void Decoder::embed(const StepPlan& plan, const float* image_rows) {
  const int C = model_.spec.hidden_C;
  const MatrixSource::Block& table = model_.embed.blocks.at(0);
  for (int t = 0; t < plan.num_rows(); ++t) {
    const int32_t token = plan.tokens_T[t];
    float* x = x_.row_f32(t);
    if (token < 0) {
      std::copy_n(image_rows + size_t(-1 - token) * C, C, x);
      continue;
    }
    const std::byte* row = table.data + size_t(token) * C * dtype_bytes(table.dtype);
    for (int c = 0; c < C; ++c) x[c] = load_as_f32(row, table.dtype, c);
  }
}

void Decoder::write_qkv(const PackedDecoderLayer& layer, const StepPlan& plan, const KvPages& kv,
                        const KernelRunner& run) {
  const DecoderSpec& s = model_.spec;
  KernelRunner::for_row_blocks(plan.num_rows(), [&](int first, int rows) {
    run.rmsnorm({x_.row_f32(first), x_.stride(), nullptr, layer.attention_norm.data(), normed_.row(0), dtype_,
                 normed_.stride(), rows, s.hidden_C, s.rms_eps});
    run.gemm(linear_args(layer.qkv, normed_, 0, rows, qkv_, 0, Epilogue::kStore));
    RopeArgs rope;
    rope.qkv = qkv_.row_f32(0);
    rope.qkv_stride = qkv_.stride();
    rope.cos_sin = rope_.data();
    rope.positions_T = plan.positions_T.data() + first;
    rope.q = q_.row(first);
    rope.q_stride = q_.stride();
    rope.q_scale = float(1.0 / std::sqrt(double(s.head_dim_D)));
    rope.T = rows;
    rope.num_heads_H = s.heads_H;
    rope.kv = kv;
    rope.slots = plan.slots.data();
    rope.slot_begin_T1 = plan.slot_begin_T1.data() + first;
    run.rope(rope);
  });
}

void Decoder::attend(const std::vector<RowKeys>& rows, const int32_t* q_rows, const KvPages& kv,
                     const KernelRunner& run) {
  const DecoderSpec& s = model_.spec;
  AttentionArgs args;
  args.q = q_.row(0);
  args.o = attended_.row(0);
  args.dtype = dtype_;
  args.stride = q_.stride();
  args.q_rows = q_rows;
  args.rows_T = rows.data();
  args.T = static_cast<int>(rows.size());
  args.num_heads_H = s.heads_H;
  args.kv = kv;
  run.attention(args);
}

void Decoder::project_and_mlp(const PackedDecoderLayer& layer, int rows_T, const KernelRunner& run) {
  const DecoderSpec& s = model_.spec;
  KernelRunner::for_row_blocks(rows_T, [&](int first, int rows) {
    run.gemm(linear_args(layer.o, attended_, first, rows, x_, first, Epilogue::kAccumulate));
    run.rmsnorm({x_.row_f32(first), x_.stride(), nullptr, layer.ffn_norm.data(), normed_.row(0), dtype_,
                 normed_.stride(), rows, s.hidden_C, s.rms_eps});
    run.gemm(linear_args(layer.gate_up, normed_, 0, rows, mlp_, 0, Epilogue::kSwiglu));
    run.gemm(linear_args(layer.down, mlp_, 0, rows, x_, first, Epilogue::kAccumulate));
  });
}

void Decoder::keep_output_rows(const StepPlan& plan) {
  for (size_t i = 0; i < plan.output_rows.size();
       ++i) {  // rising, so no row is overwritten before it is read
    const int32_t from = plan.output_rows[i];
    if (from != int32_t(i)) std::copy_n(x_.row_f32(from), x_.cols(), x_.row_f32(i));
  }
}

void Decoder::capture_hidden(const std::vector<int32_t>& rows, DecoderOutput& out) const {
  for (int32_t r : rows) out.hidden.insert(out.hidden.end(), x_.row_f32(r), x_.row_f32(r) + x_.cols());
}

void Decoder::norm_outputs(std::span<const int32_t> outputs, const RowBuffer& y, const KernelRunner& run) {
  run.rmsnorm({x_.row_f32(0), x_.stride(), outputs.data(), model_.final_norm.data(), y.row(0), y.dtype(),
               y.stride(), static_cast<int>(outputs.size()), model_.spec.hidden_C, model_.spec.rms_eps});
}

void Decoder::read_logits(std::span<const int32_t> outputs, float* logits, const KernelRunner& run) {
  const int V = model_.spec.vocab_V;
  KernelRunner::for_row_blocks(static_cast<int>(outputs.size()), [&](int first, int rows) {
    norm_outputs(outputs.subspan(first, rows), normed_, run);
    read_head(model_.head, normed_, rows, logits + size_t(first) * V, V, run);
  });
}

DecoderOutput Decoder::read_scores(std::span<const int32_t> outputs, const Readout& readout,
                                   const KernelRunner& run) {
  DecoderOutput out;
  if (readout.kind == ReadoutKind::kClasses) {
    read_classes(outputs, out, run);
  } else {
    norm_outputs(outputs, output_, run);
    read_pair(static_cast<int>(outputs.size()), readout.pair, out);
  }
  return out;
}

void Decoder::read_classes(std::span<const int32_t> outputs, DecoderOutput& out, const KernelRunner& run) {
  const DecoderSpec& s = model_.spec;
  out.width = s.num_classes;
  out.values.resize(outputs.size() * s.num_classes);
  RowBuffer inner(s.hidden_C, dtype_);
  inner.reserve(std::min(static_cast<int>(outputs.size()), KernelRunner::kRowBlock));
  KernelRunner::for_row_blocks(static_cast<int>(outputs.size()), [&](int first, int rows) {
    norm_outputs(outputs.subspan(first, rows), normed_, run);
    run.gemm(linear_args(model_.reward_fc1, normed_, 0, rows, inner, 0, Epilogue::kRelu));
    read_head(model_.reward_fc2, inner, rows, out.values.data() + size_t(first) * s.num_classes,
              s.num_classes, run);
  });
}

void Decoder::read_head(const PackedLinear& head, const RowBuffer& a, int rows, float* values, int width,
                        const KernelRunner& run) {
  GemmArgs args = linear_args(head, a, 0, rows, output_, 0, Epilogue::kStore);
  args.y = values;
  args.y_stride = args.y_cols = width;
  args.y_dtype = DType::kF32;
  run.gemm(args);
}

// Two dot products in double on the head's rows as stored, instead of the whole vocabulary.
void Decoder::read_pair(int rows, const int pair[2], DecoderOutput& out) const {
  const int C = model_.spec.hidden_C;
  const MatrixSource::Block& head = model_.head_source.blocks.at(0);
  out.width = 2;
  for (int r = 0; r < rows; ++r) {
    const float* x = output_.row_f32(r);
    for (int which = 0; which < 2; ++which) {
      const std::byte* w = head.data + size_t(pair[which]) * C * dtype_bytes(head.dtype);
      double sum = 0;
      for (int c = 0; c < C; ++c) sum += double(x[c]) * load_as_f32(w, head.dtype, c);
      out.values.push_back(float(sum));
    }
  }
}

}  // namespace mmprm
