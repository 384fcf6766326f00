// Training on the CPU: products, norms, attention and what lies between them. cpu_training_rows.cc has the ops that
// move rows, cpu_training_loss.cc losses and the optimizer.
#include "cpu/cpu_training.h"

#include <atomic>

#include "cpu/training_access.h"

namespace mmprm {
namespace {

constexpr int64_t kRowGrain = 32, kPackGrain = 4;

MatmulOperand operand_of(const MatmulOp::Operand& o) { return {floats(o.rows), o.rows.stride, o.transposed}; }

int rows_of(const MatmulOp::Operand& o) { return o.transposed ? o.rows.cols : o.rows.rows; }
int cols_of(const MatmulOp::Operand& o) { return o.transposed ? o.rows.rows : o.rows.cols; }

}  // namespace

StagedTrees CpuTraining::stage(const TreePlan& plan) {
  trees_[++last_id_] = plan;
  return {last_id_};
}

const TreePlan& CpuTraining::plan_of(const StagedTrees& trees) const {
  const auto at = trees_.find(trees.id);
  require(at != trees_.end(), "a plan of trees was used after its release");
  return at->second;
}

void CpuTraining::matmul(const MatmulOp& op) {
  require(op.c.rows == rows_of(op.a) && op.c.cols == cols_of(op.b) && cols_of(op.a) == rows_of(op.b) &&
              (op.addend.empty() || same_shape(op.addend, op.c)) &&
              (op.bias.empty() || size_of(op.bias) == op.c.cols),
          "a product of tensors that do not fit");
  if (op.c.rows == 0 || op.c.cols == 0) return;
  const MatmulKernel& kernel = kernels_.matmul;
  MatmulArgs args;
  args.a = operand_of(op.a);
  args.b = operand_of(op.b);
  args.c = floats(op.c);
  args.c_stride = op.c.stride;
  args.addend = floats_or_null(op.addend);
  args.addend_stride = op.addend.stride;
  args.bias_N = floats_or_null(op.bias);
  args.M = op.c.rows;
  args.N = op.c.cols;
  args.K = cols_of(op.a);
  args.compute = op.compute;
  packed_.reserve(kernel.packed_floats(args) * sizeof(float));
  args.packed_b = packed_.as<float>();
  pool_.run(kernel.pack_units(args), kPackGrain, [&](int64_t b, int64_t e) { kernel.pack(args, b, e); });
  pool_.run(kernel.units(args), 1, [&](int64_t b, int64_t e) { kernel.run(args, b, e); });
}

void CpuTraining::column_sum(const ColumnSumOp& op) {
  require(size_of(op.sum) == op.x.cols, "a sum of columns that does not fit");
  const ColumnSumArgs args{floats(op.x), op.x.stride, floats(op.sum), op.x.rows, op.x.cols};
  pool_.run((op.x.cols + kStripColumns - 1) / kStripColumns, 1,
            [&](int64_t b, int64_t e) { kernels_.rowwise.column_sum(args, b, e); });
}

void CpuTraining::norm_grad(const NormGradOp& op) {
  require(same_shape(op.x, op.dx) && same_shape(op.x, op.dy) && size_of(op.weight) == op.x.cols,
          "a gradient of a norm that does not fit");
  const int blocks = int(partial_blocks(op.x.rows)), C = op.x.cols;
  const int64_t size = int64_t(blocks) * C;
  partial_.reserve(2 * size * sizeof(float));
  NormGradArgs args;
  args.x = floats(op.x);
  args.x_stride = op.x.stride;
  args.weight_C = floats(op.weight);
  args.dy = floats(op.dy);
  args.dy_stride = op.dy.stride;
  args.dx = floats(op.dx);
  args.dx_stride = op.dx.stride;
  args.weight_partial = partial_.as<float>();
  args.bias_partial = op.centred ? args.weight_partial + size : nullptr;
  args.rows = op.x.rows;
  args.C = C;
  args.eps = op.eps;
  pool_.run(blocks, 1, [&](int64_t b, int64_t e) { kernels_.rowwise.norm_grad(args, b, e); });
  const auto partial = [&](float* rows) { return Tensor{address_of(rows), DType::kF32, blocks, C, C}; };
  if (!op.d_weight.empty()) column_sum({op.d_weight, partial(args.weight_partial)});
  if (op.centred && !op.d_bias.empty()) column_sum({op.d_bias, partial(args.bias_partial)});
}

TreeAttentionArgs CpuTraining::attention_args(const TreeAttentionOp& op) const {
  const TreePlan& plan = plan_of(op.trees);
  TreeAttentionArgs args;
  args.qkv = floats(op.qkv);
  args.qkv_stride = op.qkv.stride;
  args.segments = plan.segments.data();
  args.tree_begin_1 = plan.tree_begin_1.data();
  args.num_trees = plan.num_trees();
  args.max_keys = plan.max_keys;
  args.causal = plan.causal;
  args.window = op.window;
  args.num_heads_H = op.heads_H;
  args.num_heads_G = op.heads_G;
  args.head_dim_D = op.qkv.cols / (op.heads_H + 2 * op.heads_G);
  args.compute = op.compute;
  args.o = floats(op.o);
  args.o_stride = op.o.stride;
  args.lse_TH = floats(op.lse);
  args.lse_stride = op.lse.stride;
  require(op.o.cols == op.heads_H * args.head_dim_D && op.lse.cols == op.heads_H &&
              op.o.rows == op.qkv.rows && op.lse.rows == op.qkv.rows,
          "attention over tensors that do not fit");
  return args;
}

void CpuTraining::tree_attention(const TreeAttentionOp& op) {
  run_attention(attention_args(op), kernels_.tree_attention.forward);
}

void CpuTraining::tree_attention_grad(const TreeAttentionGradOp& op) {
  require(same_shape(op.d_qkv, op.qkv) && op.d_qkv.stride == op.qkv.stride && same_shape(op.d_o, op.o),
          "a gradient of attention that does not fit");
  TreeAttentionArgs args =
      attention_args({op.o, op.lse, op.qkv, op.trees, op.heads_H, op.heads_G, op.compute, op.window});
  args.d_o = floats(op.d_o);
  args.d_o_stride = op.d_o.stride;
  args.d_qkv = floats(op.d_qkv);
  run_attention(args, kernels_.tree_attention.backward);
}

void CpuTraining::run_attention(const TreeAttentionArgs& args,
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

void CpuTraining::rotate(const RotateOp& op) {
  const TreePlan& plan = plan_of(op.trees);
  require(int64_t(plan.positions_T.size()) == op.x.rows && op.heads * op.angles.cols <= op.x.cols,
          "a rotation that does not fit");
  const RotateArgs args{
      floats(op.x),   op.x.stride, floats(op.angles), op.angles.stride, plan.positions_T.data(), op.heads,
      op.angles.cols, op.sign};
  pool_.run(op.x.rows, kRowGrain, [&](int64_t b, int64_t e) { kernels_.rowwise.rotate(args, b, e); });
}

void CpuTraining::swiglu(const SwigluOp& op) {
  require(op.gate_up.rows == op.y.rows && op.gate_up.cols == 2 * op.y.cols, "a SwiGLU that does not fit");
  const SwigluArgs args{floats(op.gate_up), op.gate_up.stride, floats(op.y), op.y.stride, op.y.cols};
  pool_.run(op.y.rows, kRowGrain, [&](int64_t b, int64_t e) { kernels_.rowwise.swiglu(args, b, e); });
}

void CpuTraining::swiglu_grad(const SwigluGradOp& op) {
  require(op.gate_up.rows == op.y.rows && op.gate_up.cols == 2 * op.y.cols, "a SwiGLU that does not fit");
  const SwigluArgs args{floats(op.gate_up), op.gate_up.stride, floats(op.y), op.y.stride, op.y.cols};
  pool_.run(op.y.rows, kRowGrain, [&](int64_t b, int64_t e) { kernels_.rowwise.swiglu_grad(args, b, e); });
}

void CpuTraining::gelu(const GeluOp& op) {
  require(same_shape(op.x, op.y), "a GELU that does not fit");
  const GeluArgs args{floats(op.x), op.x.stride, floats(op.y), op.y.stride, op.y.cols};
  pool_.run(op.y.rows, kRowGrain, [&](int64_t b, int64_t e) { kernels_.rowwise.gelu(args, b, e); });
}

void CpuTraining::gelu_grad(const GeluGradOp& op) {
  require(same_shape(op.x, op.y), "a GELU that does not fit");
  const GeluArgs args{floats(op.x), op.x.stride, floats(op.y), op.y.stride, op.y.cols};
  pool_.run(op.y.rows, kRowGrain, [&](int64_t b, int64_t e) { kernels_.rowwise.gelu_grad(args, b, e); });
}

void CpuTraining::gelu_tanh(const GeluOp& op) {
  require(same_shape(op.x, op.y), "a GELU that does not fit");
  const GeluArgs args{floats(op.x), op.x.stride, floats(op.y), op.y.stride, op.y.cols};
  pool_.run(op.y.rows, kRowGrain, [&](int64_t b, int64_t e) { kernels_.rowwise.gelu_tanh(args, b, e); });
}

void CpuTraining::gelu_tanh_grad(const GeluGradOp& op) {
  require(same_shape(op.x, op.y), "a GELU that does not fit");
  const GeluArgs args{floats(op.x), op.x.stride, floats(op.y), op.y.stride, op.y.cols};
  pool_.run(op.y.rows, kRowGrain, [&](int64_t b, int64_t e) { kernels_.rowwise.gelu_tanh_grad(args, b, e); });
}

void CpuTraining::scaled_add(const ScaledAddOp& op) {
  require(same_shape(op.x, op.y) && same_shape(op.z, op.y) && size_of(op.scale) == op.y.cols &&
              op.x.stride == op.y.stride && op.z.stride == op.y.stride,
          "a layer scale that does not fit");
  const ScaledArgs args{floats(op.x), floats(op.z), floats(op.scale), floats(op.y),
                        op.x.stride,  nullptr,      op.x.rows,        op.x.cols};
  pool_.run(args.rows, kRowGrain, [&](int64_t b, int64_t e) { kernels_.rowwise.scaled_add(args, b, e); });
}

void CpuTraining::scaled_grad(const ScaledGradOp& op) {
  require(same_shape(op.dy, op.dz) && same_shape(op.z, op.dz) && size_of(op.scale) == op.dz.cols &&
              op.dy.stride == op.dz.stride && op.z.stride == op.dz.stride,
          "a gradient of a layer scale that does not fit");
  const int blocks = int(partial_blocks(op.dy.rows)), C = op.dy.cols;
  partial_.reserve(size_t(blocks) * C * sizeof(float));
  const ScaledArgs args{floats(op.dy), floats(op.z),         floats(op.scale), floats(op.dz),
                        op.dy.stride,  partial_.as<float>(), op.dy.rows,       C};
  pool_.run(blocks, 1, [&](int64_t b, int64_t e) { kernels_.rowwise.scaled_grad(args, b, e); });
  if (!op.d_scale.empty()) column_sum({op.d_scale, {address_of(args.partial), DType::kF32, blocks, C, C}});
}

}  // namespace mmprm
