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
  reserve(plan);
  embed(plan, image_rows);
  DecoderOutput out;
  const int num_outputs = static_cast<int>(plan.output_rows.size());
  const int last = static_cast<int>(model_.layers.size()) - 1;
  std::vector<int32_t> kept = plan.output_rows;  // where the output rows stand in x_
  for (int l = 0; l <= last; ++l) {
    run.check_cancelled();
    const PackedDecoderLayer& layer = model_.layers[l];
    if (readout.hidden) capture_hidden(kept, out);
    write_qkv(layer, plan, run);
    if (l < last) {
      attend(plan.rows_T, nullptr, run);
      project_and_mlp(layer, plan.num_rows(), run);
    } else {
      std::vector<RowKeys> rows;
      for (int32_t r : plan.output_rows) rows.push_back(plan.rows_T[r]);
      attend(rows, plan.output_rows.data(), run);
      keep_output_rows(plan);
      std::iota(kept.begin(), kept.end(), 0);
      project_and_mlp(layer, num_outputs, run);
    }
  }
  read_out(num_outputs, readout, run, out);
  return out;
}

void Decoder::reserve(const StepPlan& plan) {
  const int T = plan.num_rows(), block = std::min(T, KernelRunner::kRowBlock);
  int num_positions = 0;
  for (int32_t p : plan.positions_T) num_positions = std::max(num_positions, p + 1);
  rope_.grow(num_positions);
  const DecoderSpec& s = model_.spec;
  const size_t page_bytes = KvPages{nullptr, dtype_, s.kv_heads_G, s.head_dim_D}.page_bytes();
  kv_.reserve(plan.num_pages * page_bytes);
  // INVARIANT: slots that no row fills hold finite numbers, whatever an earlier call left there.
  std::vector<int> filled(plan.num_pages);
  for (const KvSlot& slot : plan.slots) ++filled[slot.page];
  for (int p = 0; p < plan.num_pages; ++p) {
    if (filled[p] < kPageTokens) std::memset(kv_.data() + p * page_bytes, 0, page_bytes);
  }
  for (RowBuffer* all : {&x_, &q_, &attended_}) all->reserve(T);
  for (RowBuffer* part : {&qkv_, &normed_, &mlp_}) part->reserve(block);
  output_.reserve(static_cast<int>(plan.output_rows.size()));
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

void Decoder::write_qkv(const PackedDecoderLayer& layer, const StepPlan& plan, const KernelRunner& run) {
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
    rope.kv = {kv_.data(), dtype_, s.kv_heads_G, s.head_dim_D};
    rope.slots = plan.slots.data();
    rope.slot_begin_T1 = plan.slot_begin_T1.data() + first;
    run.rope(rope);
  });
}

void Decoder::attend(const std::vector<RowKeys>& rows, const int32_t* q_rows, const KernelRunner& run) {
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
  args.kv = {kv_.data(), dtype_, s.kv_heads_G, s.head_dim_D};
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

void Decoder::read_out(int rows_T, const Readout& readout, const KernelRunner& run, DecoderOutput& out) {
  const DecoderSpec& s = model_.spec;
  run.rmsnorm({x_.row_f32(0), x_.stride(), nullptr, model_.final_norm.data(), output_.row(0), DType::kF32,
               output_.stride(), rows_T, s.hidden_C, s.rms_eps});
  if (readout.hidden) {
    for (int r = 0; r < rows_T; ++r) {
      out.hidden.insert(out.hidden.end(), output_.row_f32(r), output_.row_f32(r) + s.hidden_C);
    }
  }
  if (readout.kind == ReadoutKind::kPair) return read_pair(rows_T, readout.pair, out);

  const bool classes = readout.kind == ReadoutKind::kClasses;
  const Linear& head = classes ? model_.reward_fc2 : model_.head;
  out.width = classes ? s.num_classes : s.vocab_V;
  out.values.resize(size_t(rows_T) * out.width);
  RowBuffer inner(classes ? s.hidden_C : 0, dtype_);
  if (classes) inner.reserve(std::min(rows_T, KernelRunner::kRowBlock));
  KernelRunner::for_row_blocks(rows_T, [&](int first, int rows) {
    run.rmsnorm({x_.row_f32(first), x_.stride(), nullptr, model_.final_norm.data(), normed_.row(0), dtype_,
                 normed_.stride(), rows, s.hidden_C, s.rms_eps});
    if (classes) run.gemm(linear_args(model_.reward_fc1, normed_, 0, rows, inner, 0, Epilogue::kRelu));
    GemmArgs args = linear_args(head, classes ? inner : normed_, 0, rows, output_, 0, Epilogue::kStore);
    args.y = out.values.data() + size_t(first) * out.width;
    args.y_stride = args.y_cols = out.width;
    args.y_dtype = DType::kF32;
    run.gemm(args);
  });
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
