#include "train/train_ops.h"

#include <algorithm>

namespace mmprm {
namespace {

constexpr int64_t kRowGrain = 32, kPackGrain = 4;

MatmulOperand weight_operand(const Parameter& p, bool transposed) { return {p.value(), p.cols, transposed}; }

}  // namespace

void TrainOps::matmul(MatmulArgs args) {
  if (args.M == 0 || args.N == 0) return;
  const MatmulKernel& kernel = kernels_.matmul;
  args.compute = compute_;
  packed_.reserve(kernel.packed_floats(args) * sizeof(float));
  args.packed_b = packed_.as<float>();
  pool_.run(kernel.pack_units(args), kPackGrain, [&](int64_t b, int64_t e) { kernel.pack(args, b, e); });
  pool_.run(kernel.units(args), 1, [&](int64_t b, int64_t e) { kernel.run(args, b, e); });
}

void TrainOps::product(const MatmulOperand& a, const MatmulOperand& b, const Target& c, int M, int N, int K) {
  MatmulArgs args;
  args.a = a;
  args.b = b;
  args.c = c.data;
  args.c_stride = args.addend_stride = c.stride;
  args.addend = c.add ? c.data : nullptr;
  args.M = M;
  args.N = N;
  args.K = K;
  matmul(args);
}

void TrainOps::linear(const TrainLinear& linear, const Rows& x, const Rows& y, const Rows* addend) {
  const Parameter& w = *linear.weight;
  MatmulArgs args;
  args.a = {x.data, x.stride};
  args.b = weight_operand(w, true);
  args.c = y.data;
  args.c_stride = y.stride;
  args.bias_N = linear.bias ? linear.bias->value() : nullptr;
  if (addend) {
    args.addend = addend->data;
    args.addend_stride = addend->stride;
  }
  args.M = x.rows;
  args.N = w.rows;
  args.K = w.cols;
  matmul(args);
  for (const Adapter& a : linear.adapters) adapter(a, x, y);
}

void TrainOps::linear_grad_weight(const TrainLinear& linear, const Rows& x, const Rows& dy) {
  const Parameter& w = *linear.weight;
  if (w.trainable) {
    product({dy.data, dy.stride, true}, {x.data, x.stride}, {w.gradient(), w.cols, true}, w.rows, w.cols,
            dy.rows);
  }
  if (linear.bias && linear.bias->trainable) {
    add_column_sum(dy.data, dy.stride, dy.rows, w.rows, linear.bias->gradient());
  }
  for (const Adapter& a : linear.adapters) adapter_grad_weight(a, x, dy);
}

void TrainOps::linear_grad_input(const TrainLinear& linear, const Rows& dy, const Rows& dx) {
  const Parameter& w = *linear.weight;
  product({dy.data, dy.stride}, weight_operand(w, false), {dx.data, dx.stride}, dy.rows, w.cols, w.rows);
  for (const Adapter& a : linear.adapters) {
    const float* du = adapter_grad_inner(a, dy);
    product({du, a.a->rows}, weight_operand(*a.a, false), {dx.data, dx.stride, true}, dy.rows, w.cols,
            a.a->rows);
  }
}

// u = scale·x·Aᵀ in low_rank_.
float* TrainOps::low_rank_rows(const Adapter& adapter, const Rows& x) {
  const int rank = adapter.a->rows;
  const size_t size = size_t(x.rows) * rank;
  low_rank_.reserve(size * sizeof(float));
  float* u = low_rank_.as<float>();
  product({x.data, x.stride}, weight_operand(*adapter.a, true), {u, rank}, x.rows, rank, x.cols);
  for (size_t i = 0; i < size; ++i) u[i] *= adapter.scale;
  return u;
}

void TrainOps::adapter(const Adapter& adapter, const Rows& x, const Rows& y) {
  const int rank = adapter.a->rows;
  const float* u = low_rank_rows(adapter, x);
  for (const StoredTensor::Block& block : adapter.row_blocks) {
    product({u, rank}, {adapter.b->value() + block.in_tensor * rank, rank, true},
            {y.data + block.in_parameter, y.stride, true}, x.rows, int(block.count), rank);
  }
}

void TrainOps::adapter_grad_weight(const Adapter& adapter, const Rows& x, const Rows& dy) {
  const int rank = adapter.a->rows, K = adapter.a->cols, T = x.rows;
  const float* u = low_rank_rows(adapter, x);
  for (const StoredTensor::Block& block : adapter.row_blocks) {
    product({dy.data + block.in_parameter, dy.stride, true}, {u, rank},
            {adapter.b->gradient() + block.in_tensor * rank, rank, true}, int(block.count), rank, T);
  }
  const float* du = adapter_grad_inner(adapter, dy);
  product({du, rank, true}, {x.data, x.stride}, {adapter.a->gradient(), K, true}, rank, K, T);
}

// du = scale·dy·B, the gradient of x·Aᵀ, in low_rank_grad_.
float* TrainOps::adapter_grad_inner(const Adapter& adapter, const Rows& dy) {
  const int rank = adapter.a->rows;
  const size_t size = size_t(dy.rows) * rank;
  low_rank_grad_.reserve(size * sizeof(float));
  float* du = low_rank_grad_.as<float>();
  std::fill_n(du, size, 0.0f);
  for (const StoredTensor::Block& block : adapter.row_blocks) {
    product({dy.data + block.in_parameter, dy.stride}, {adapter.b->value() + block.in_tensor * rank, rank},
            {du, rank, true}, dy.rows, rank, int(block.count));
  }
  for (size_t i = 0; i < size; ++i) du[i] *= adapter.scale;
  return du;
}

void TrainOps::norm(const TrainNorm& norm, const Rows& x, const Rows& y) {
  const float* weight = norm.weight->value();
  if (norm.bias) {
    const LayernormArgs args{x.data, x.stride, weight,  norm.bias->value(), y.data, DType::kF32, y.stride,
                             x.rows, x.cols,   norm.eps};
    pool_.run(x.rows, kRowGrain, [&](int64_t b, int64_t e) { kernels_.layernorm.run(args, b, e); });
  } else {
    const RmsnormArgs args{x.data,      x.stride, nullptr, weight, y.data,
                           DType::kF32, y.stride, x.rows,  x.cols, norm.eps};
    pool_.run(x.rows, kRowGrain, [&](int64_t b, int64_t e) { kernels_.rmsnorm.run(args, b, e); });
  }
}

void TrainOps::norm_grad(const TrainNorm& norm, const Rows& x, const Rows& dy, const Rows& dx) {
  const int64_t blocks = partial_blocks(x.rows);
  const size_t size = size_t(blocks) * x.cols;
  partial_.reserve(2 * size * sizeof(float));
  NormGradArgs args;
  args.x = x.data;
  args.x_stride = x.stride;
  args.weight_C = norm.weight->value();
  args.dy = dy.data;
  args.dy_stride = dy.stride;
  args.dx = dx.data;
  args.dx_stride = dx.stride;
  args.weight_partial = partial_.as<float>();
  args.bias_partial = norm.bias ? args.weight_partial + size : nullptr;
  args.rows = x.rows;
  args.C = x.cols;
  args.eps = norm.eps;
  pool_.run(blocks, 1, [&](int64_t b, int64_t e) { kernels_.rowwise.norm_grad(args, b, e); });
  if (norm.weight->trainable) {
    add_column_sum(args.weight_partial, x.cols, int(blocks), x.cols, norm.weight->gradient());
  }
  if (norm.bias && norm.bias->trainable) {
    add_column_sum(args.bias_partial, x.cols, int(blocks), x.cols, norm.bias->gradient());
  }
}

void TrainOps::add_column_sum(const float* x, int64_t stride, int rows, int cols, float* sum) {
  const ColumnSumArgs args{x, stride, sum, rows, cols};
  pool_.run((cols + kStripColumns - 1) / kStripColumns, 1,
            [&](int64_t b, int64_t e) { kernels_.rowwise.column_sum(args, b, e); });
}

void TrainOps::run_attention(const TreeAttentionArgs& args,
                             void (*run)(const TreeAttentionArgs& args, int64_t unit, float* scratch)) {
  const size_t bytes = kernels_.tree_attention.scratch_floats(args) * sizeof(float);
  scratch_.resize(size_t(pool_.num_threads()));
  for (AlignedBuffer& scratch : scratch_) scratch.reserve(bytes);
  std::atomic<int> next_scratch{0};  // each thread takes the one it gets and keeps it for this loop
  const int64_t units = tree_attention_units(args);
  std::atomic<int64_t> next_unit{0};
  pool_.run(pool_.num_threads(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t worker = begin; worker < end; ++worker) {
      float* scratch = scratch_[size_t(next_scratch.fetch_add(1))].as<float>();
      for (int64_t unit; (unit = next_unit.fetch_add(1)) < units;) run(args, unit, scratch);
    }
  });
}

void TrainOps::rotate(const RotateArgs& args, int rows) {
  pool_.run(rows, kRowGrain, [&](int64_t b, int64_t e) { kernels_.rowwise.rotate(args, b, e); });
}

void TrainOps::swiglu(const Rows& gate_up, const Rows& y) {
  const SwigluArgs args{gate_up.data, gate_up.stride, y.data, y.stride, y.cols};
  pool_.run(y.rows, kRowGrain, [&](int64_t b, int64_t e) { kernels_.rowwise.swiglu(args, b, e); });
}

void TrainOps::swiglu_grad(const Rows& gate_up, const Rows& y) {
  const SwigluArgs args{gate_up.data, gate_up.stride, y.data, y.stride, y.cols};
  pool_.run(y.rows, kRowGrain, [&](int64_t b, int64_t e) { kernels_.rowwise.swiglu_grad(args, b, e); });
}

void TrainOps::gelu(const Rows& x, const Rows& y) {
  const GeluArgs args{x.data, x.stride, y.data, y.stride, y.cols};
  pool_.run(y.rows, kRowGrain, [&](int64_t b, int64_t e) { kernels_.rowwise.gelu(args, b, e); });
}

void TrainOps::gelu_grad(const Rows& x, const Rows& y) {
  const GeluArgs args{x.data, x.stride, y.data, y.stride, y.cols};
  pool_.run(y.rows, kRowGrain, [&](int64_t b, int64_t e) { kernels_.rowwise.gelu_grad(args, b, e); });
}

void TrainOps::gelu_tanh(const Rows& x, const Rows& y) {
  const GeluArgs args{x.data, x.stride, y.data, y.stride, y.cols};
  pool_.run(y.rows, kRowGrain, [&](int64_t b, int64_t e) { kernels_.rowwise.gelu_tanh(args, b, e); });
}

void TrainOps::gelu_tanh_grad(const Rows& x, const Rows& y) {
  const GeluArgs args{x.data, x.stride, y.data, y.stride, y.cols};
  pool_.run(y.rows, kRowGrain, [&](int64_t b, int64_t e) { kernels_.rowwise.gelu_tanh_grad(args, b, e); });
}

void TrainOps::scaled_add(const Rows& x, const Parameter& scale, const Rows& z, const Rows& y) {
  const ScaledArgs args{x.data, z.data, scale.value(), y.data, x.stride, nullptr, x.rows, x.cols};
  pool_.run(x.rows, kRowGrain, [&](int64_t b, int64_t e) { kernels_.rowwise.scaled_add(args, b, e); });
}

void TrainOps::scaled_grad(const Rows& dy, const Parameter& scale, const Rows& z, const Rows& dz) {
  const int64_t blocks = partial_blocks(dy.rows);
  partial_.reserve(size_t(blocks) * dy.cols * sizeof(float));
  const ScaledArgs args{dy.data, z.data, scale.value(), dz.data, dy.stride, partial_.as<float>(),
                        dy.rows, dy.cols};
  pool_.run(blocks, 1, [&](int64_t b, int64_t e) { kernels_.rowwise.scaled_grad(args, b, e); });
  if (scale.trainable) add_column_sum(args.partial, dy.cols, int(blocks), dy.cols, scale.gradient());
}

void TrainOps::cross_entropy(const CrossEntropyArgs& args, int rows) {
  pool_.run(rows, 1, [&](int64_t b, int64_t e) { kernels_.cross_entropy.run(args, b, e); });
}

}  // namespace mmprm
