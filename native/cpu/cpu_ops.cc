// The ops of the CPU: kernels over threads, and plain loops where memory is only moved.
#include <bit>
#include <string>

#include "base/float_types.h"
#include "base/philox.h"
#include "cpu/cpu_device.h"
#include "device/address.h"
#include "include/engine/error.h"
#include "kernels/sample/sampler.h"

namespace mmprm {
namespace {

constexpr int64_t kRowGrain = 16, kPrepareGrain = 4;

const float* floats_or_null(const Tensor& t) { return t.empty() ? nullptr : row_of<float>(t, 0); }

void require(bool condition, const char* what) {
  if (!condition) throw Error(ErrorCode::kInternal, what);
}

// Nothing is drawn from numbers that are none: of the others a text would come that looks like one.
bool all_finite(const float* logits, int V) {
  constexpr uint32_t kExponent = 0x7f800000;
  uint32_t bad = 0;
  for (int i = 0; i < V; ++i) bad |= uint32_t((std::bit_cast<uint32_t>(logits[i]) & kExponent) == kExponent);
  return !bad;
}

void copy_row(const Tensor& y, int64_t to, const Tensor& x, int64_t from) {
  std::copy_n(row_of<float>(x, from), x.cols, row_of<float>(y, to));
}

double dot(const float* x, const RowRef& w, int cols) {
  double sum = 0;
  for (int c = 0; c < cols; ++c) sum += double(x[c]) * load_as_f32(w.data, w.dtype, c);
  return sum;
}

}  // namespace

template <typename Body>
void CpuDevice::for_rows(int64_t rows, Body&& body) {
  pool_.run(rows, kRowGrain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) body(r);
  });
}

void CpuDevice::prepare_pages(const PreparePagesOp& op) {
  PageStore& store = *pages_.at(op.pages.id - 1);
  for (const PageOp& page : staged(op.plan).plan.page_ops) store.apply(page);
}

void CpuDevice::embed(const EmbedOp& op) {
  const std::vector<int32_t>& tokens = staged(op.plan).plan.tokens_T;
  const std::vector<RowRef>& table = tables_.at(op.table.id - 1);
  for_rows(op.x.rows, [&](int64_t t) {
    if (tokens[t] < 0) return copy_row(op.x, t, op.image_rows, -1 - tokens[t]);
    const RowRef& row = table[tokens[t]];
    float* x = row_of<float>(op.x, t);
    for (int c = 0; c < op.x.cols; ++c) x[c] = load_as_f32(row.data, row.dtype, c);
  });
}

void CpuDevice::add_image_rows(const AddImageRowsOp& op) {
  const StepPlan& plan = staged(op.plan).plan;
  for_rows(op.x.rows, [&](int64_t i) {
    const int32_t token = plan.tokens_T[op.outputs_only ? plan.output_rows[i] : i];
    if (token >= 0) return;
    const float* from = row_of<float>(op.image_rows, -1 - token);
    float* x = row_of<float>(op.x, i);
    for (int c = 0; c < op.x.cols; ++c) x[c] += from[c];
  });
}

void CpuDevice::norm(const NormOp& op) {
  const float *x = row_of<float>(op.x, 0), *weight = row_of<float>(op.weight, 0);
  std::byte* y = memory_of(op.y);
  if (op.bias.empty()) {
    const RmsnormArgs args{x,          op.x.stride, nullptr,   weight,    y,
                           op.y.dtype, op.y.stride, op.x.rows, op.x.cols, op.eps};
    pool_.run(args.rows, kRowGrain, [&](int64_t b, int64_t e) { kernels_.rmsnorm.run(args, b, e); });
  } else {
    const LayernormArgs args{x,         op.x.stride, weight,      row_of<float>(op.bias, 0),
                             y,         op.y.dtype,  op.y.stride, op.x.rows,
                             op.x.cols, op.eps};
    pool_.run(args.rows, kRowGrain, [&](int64_t b, int64_t e) { kernels_.layernorm.run(args, b, e); });
  }
}

void CpuDevice::linear(const LinearOp& op) {
  require(op.x.rows == op.y.rows && op.x.cols == op.w.K && op.y.cols == op.w.out_cols() &&
              op.w.gated == (op.epilogue == Epilogue::kSwiglu),
          "a product of tensors that do not fit");
  const PackedLinear& linear = linears_.at(op.w.id - 1);
  GemmArgs args;
  args.w = &linear.matrix;
  args.a_MK = memory_of(op.x);
  args.a_dtype = op.x.dtype;
  args.a_stride = op.x.stride;
  args.M = op.x.rows;
  args.y = memory_of(op.y);
  args.y_dtype = op.y.dtype;
  args.y_stride = op.y.stride;
  args.y_cols = op.y.cols;
  args.bias_N = linear.bias.empty() ? nullptr : linear.bias.data();
  args.column_scale_N = floats_or_null(op.column_scale);
  args.epilogue = op.epilogue;
  const GemmKernel& gemm = kernels_.gemm;
  if (const size_t bytes = gemm.prepared_bytes(args); bytes > 0) {
    prepared_rows_.reserve(bytes);
    args.prepared = prepared_rows_.data();
    pool_.run(args.M, kPrepareGrain, [&](int64_t b, int64_t e) { gemm.prepare(args, b, e); });
  }
  pool_.run(gemm.units(args), 1, [&](int64_t b, int64_t e) { gemm.run(args, b, e); });
}

void CpuDevice::rope(const RopeOp& op) {
  const StepPlan& plan = staged(op.plan).plan;
  RopeArgs args;
  args.qkv = row_of<float>(op.qkv, 0);
  args.qkv_stride = op.qkv.stride;
  args.cos_sin = floats_or_null(op.angles);
  args.positions_T = op.angles.empty() ? nullptr : plan.positions_T.data() + op.first_row;
  args.q = memory_of(op.q);
  args.q_stride = op.q.stride;
  args.q_scale = op.q_scale;
  args.q_norm_D = floats_or_null(op.q_norm);
  args.k_norm_D = floats_or_null(op.k_norm);
  args.norm_eps = op.norm_eps;
  args.T = op.qkv.rows;
  args.num_heads_H = op.heads_H;
  args.kv = layer_of(op.pages, op.layer);
  args.slots = plan.slots.data();
  args.slot_begin_T1 = plan.slot_begin_T1.data() + op.first_row;
  pool_.run(args.T, kRowGrain, [&](int64_t b, int64_t e) { kernels_.rope.run(args, b, e); });
}

// Asks first whether to go on: attention comes once in every layer.
void CpuDevice::attention(const AttentionOp& op) {
  if (stop_) (*stop_)();
  const StagedPlan& s = staged(op.plan);
  const std::vector<RowKeys>& rows = op.outputs_only ? s.output_rows : s.rows_T;
  AttentionArgs args;
  args.q = memory_of(op.q);
  args.o = memory_of(op.o);
  args.dtype = op.q.dtype;
  args.stride = op.q.stride;
  args.q_rows = op.outputs_only ? s.plan.output_rows.data() : nullptr;
  args.rows_T = rows.data();
  args.T = static_cast<int>(rows.size());
  args.num_heads_H = op.heads_H;
  args.window = op.window;
  args.kv = layer_of(op.pages, op.layer);
  pool_.run(kernels_.attention.units(args), 1,
            [&](int64_t b, int64_t e) { kernels_.attention.run(args, b, e); });
}

void CpuDevice::gather(const GatherOp& op) {
  const StepPlan& plan = staged(op.plan).plan;
  for_rows(op.y.rows, [&](int64_t i) {
    const int32_t from = op.list == RowList::kOutputs       ? plan.output_rows[i]
                         : op.list == RowList::kHeadOutputs ? plan.head_outputs[i]
                                                            : plan.pair_outputs[i].output;
    copy_row(op.y, i, op.x, from);
  });
}

void CpuDevice::pair(const PairOp& op) {
  const std::vector<PairOutput>& pairs = staged(op.plan).plan.pair_outputs;
  const std::vector<RowRef>& head = tables_.at(op.head.id - 1);
  for_rows(op.y.rows, [&](int64_t i) {
    for (int which = 0; which < 2; ++which)
      row_of<float>(op.y, i)[which] =
          float(dot(row_of<float>(op.x, i), head[pairs[i].ids[which]], op.x.cols));
  });
}

void CpuDevice::copy(const CopyOp& op) {
  const size_t bytes = size_t(op.x.cols) * dtype_bytes(op.x.dtype);
  for_rows(op.x.rows,
           [&](int64_t r) { std::memcpy(memory_of(op.y.part(r, 1)), memory_of(op.x.part(r, 1)), bytes); });
}

void CpuDevice::repeat(const RepeatOp& op) {
  for_rows(op.y.rows, [&](int64_t r) { copy_row(op.y, r, op.x, r % op.x.rows); });
}

void CpuDevice::patches(const PatchesOp& op) {
  const int P = op.patch_size, S = op.pixels.cols, side = S / P;
  for_rows(op.y.rows, [&](int64_t row) {
    const int64_t tile = row / (side * side);
    const int patch = int(row % (side * side)), top = patch / side * P, left = patch % side * P;
    std::byte* y = memory_of(op.y.part(row, 1));
    int k = 0;
    for (int channel = 0; channel < op.channels; ++channel) {
      for (int line = 0; line < P; ++line) {
        const float* from = row_of<float>(op.pixels, (tile * op.channels + channel) * S + top + line) + left;
        for (int i = 0; i < P; ++i) store_from_f32(y, op.y.dtype, k++, from[i]);
      }
    }
  });
}

void CpuDevice::fold(const FoldOp& op) {
  const int f = op.factor, side = op.side, out_side = side / f, C = op.x.cols;
  const int tokens = out_side * out_side, rows_per_tile = op.skip + side * side;
  for_rows(op.y.rows, [&](int64_t r) {
    const int64_t first = r / tokens * rows_per_tile + op.skip;
    const int token = int(r % tokens);
    int R = token / out_side, Q = token % out_side;
    if (op.transposed) std::swap(R, Q);
    for (int d = 0; d < f * f; ++d) {
      const int patch = (f * R + d / f) * side + f * Q + d % f;
      const float* from = row_of<float>(op.x, first + patch);
      std::byte* y = memory_of(op.y.part(r, 1));
      for (int c = 0; c < C; ++c) store_from_f32(y, op.y.dtype, int64_t(d) * C + c, from[c]);
    }
  });
}

void CpuDevice::sample(const SampleOp& op) {
  const int V = op.logits.cols;
  pool_.run(op.num_draws, 1, [&](int64_t begin, int64_t end) {
    thread_local Sampler sampler;
    thread_local std::vector<float> copy;
    for (int64_t i = begin; i < end; ++i) {
      Draw& draw = op.draws[i];
      float* logits = row_of<float>(op.logits, draw.logits_row);
      float* shaped = logits;
      if (draw.shares_row || draw.want_logprob) {  // shape() overwrites what it is given
        copy.assign(logits, logits + V);
        shaped = copy.data();
      }
      draw.token = -1;
      if (!all_finite(logits, V)) continue;
      const SeenTokens seen{{draw.repeated, size_t(draw.num_repeated)},
                            {draw.generated, size_t(draw.num_generated)}};
      try {
        sampler.shape(shaped, V, seen, draw.params);
        draw.token = sampler.draw(sampling_uniform(draw.seed, draw.sample, draw.position));
        if (draw.want_logprob) draw.logprob = log_probability(logits, V, draw.token);
      } catch (...) {  // nothing may leave a body of the pool
        draw.token = -1;
      }
    }
  });
}

}  // namespace mmprm
