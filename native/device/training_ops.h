// What training asks of a device beyond inference: the ops of forward and backward passes, of losses and of the
// optimizer, as plain structs, results first; sizes are those of the tensors. Norms, copies, patches and folds are the
// device's own (device/ops.h). Rows of activations are F32 in device memory; graphs see no element of them.
//
// INVARIANT (every backend): work is cut by shapes alone and every sum has one order, so gradients have the same bits
// whatever runs beside them. Tensors of one op overlap only where it says so. Lists that ops carry are host memory and
// read before the call returns.
//
// Errors: kInternal for tensors that do not fit together, kOutOfMemory. How an op is added says training_ops.def.
#pragma once
#include "device/ops.h"
#include "device/tree_plan.h"

namespace mmprm {

// c = a·b (+ addend) (+ bias), products in `compute`: BF16 rounds both operands on the way in and adds in F32, where
// the hardware has such products.
struct MatmulOp {
  struct Operand {
    Tensor rows;
    bool transposed = false;
  };
  Tensor c;       // [M, N]
  Operand a;      // [M, K]; transposed: [K, M]
  Operand b;      // [K, N]; transposed: [N, K]
  Tensor addend;  // empty, or [M, N]; may be c
  Tensor bias;    // empty, or [N]
  DType compute = DType::kF32;
};

// sum += Σ over the rows of x.
struct ColumnSumOp {
  Tensor sum, x;
};

// dx += gradient of NormOp; d_weight and d_bias, where they are not empty, get theirs added.
struct NormGradOp {
  Tensor dx, d_weight, d_bias;
  Tensor x, dy, weight;
  float eps = 0;
  bool centred = false;  // a layer norm, which has a bias; otherwise an RMS norm
};

// o_i = Σ_j p_ij v_j, p_i = softmax_j(q_i·k_j / sqrt(D)), j over the rows of i's ancestors and of its own segment up to
// itself (causal) or all of it. H/G consecutive query heads share one key/value head.
struct TreeAttentionOp {
  Tensor o;    // rows of H·D
  Tensor lse;  // rows of H: logarithms of the sums, for the gradient
  Tensor qkv;  // rows of (H + 2G)·D: all query heads | key heads | value heads, rotated, q not scaled
  StagedTrees trees;
  int32_t heads_H = 0, heads_G = 0;
  DType compute = DType::kF32;
  int32_t window = 0;  // rows that a row sees, itself among them; 0: all. With causal order alone
};

struct TreeAttentionGradOp {
  Tensor d_qkv;  // like qkv; rows of the trees are overwritten
  Tensor d_o, o, lse, qkv;
  StagedTrees trees;
  int32_t heads_H = 0, heads_G = 0;
  DType compute = DType::kF32;
  int32_t window = 0;
};

// The first `heads` heads of every row turn by sign·angle, in place, as RopeOp has it; -1 is the gradient.
struct RotateOp {
  Tensor x;
  Tensor angles;  // rows of D: D/2 cosines, then D/2 sines
  StagedTrees trees;
  int32_t heads = 0;
  float sign = 1;
};

// y = silu(gate)·up, from rows gate|up.
struct SwigluOp {
  Tensor y, gate_up;
};
// (gate|up, dy) <- (d_gate|d_up, y): both in place, the output left where its gradient was.
struct SwigluGradOp {
  Tensor gate_up, y;
};

// y = gelu(x): the exact erf form, or as gelu_tanh the form with a tanh.
struct GeluOp {
  Tensor y, x;
};
// (x, dy) <- (dx, y): both in place.
struct GeluGradOp {
  Tensor x, y;
};

// x = max(x, 0), in place.
struct ReluOp {
  Tensor x;
};
// dx becomes 0 where y, the output, is 0.
struct ReluGradOp {
  Tensor dx, y;
};

// y = x + scale·z: layer scale. All rows share one stride.
struct ScaledAddOp {
  Tensor y, x, scale, z;
};
// dz = scale·dy; d_scale, where it is not empty, gets Σ dy·z added.
struct ScaledGradOp {
  Tensor dz, d_scale;
  Tensor dy, scale, z;
};

struct FillOp {
  Tensor x;
  float value = 0;
};

// x = factor·x.
struct ScaleOp {
  Tensor x;
  float factor = 1;
};

// y = x + z; y may be either.
struct AddOp {
  Tensor y, x, z;
};

// x[t] = table[token], or image_rows[r] for token -1 - r.
struct LookUpOp {
  Tensor x;
  Tensor table, image_rows;  // image_rows is empty where no token names one
  StagedTrees trees;
};
// Adds dx[t] to the row that x[t] came from, in the order of the rows. An empty result takes no part.
struct LookUpGradOp {
  Tensor d_table, d_image_rows;
  Tensor dx;
  StagedTrees trees;
};

// x[t] += image_rows[r] for token -1 - r; other rows stay. LookUpGradOp without a table is its gradient.
struct AddLookedUpOp {
  Tensor x, image_rows;
  StagedTrees trees;
};

// y[i] = x[rows[i]].
struct GatherRowsOp {
  Tensor y, x;
  const int32_t* rows = nullptr;  // y.rows of them
};
// y[rows[i]] = x[i]; no row comes twice, others of y stay.
struct ScatterRowsOp {
  Tensor y, x;
  const int32_t* rows = nullptr;  // x.rows of them
};

// y[i] = Σ_k weights[i, k] · x[rows[i, k]], k in order: tables of positions read between their rows.
struct MixRowsOp {
  Tensor y, x;
  const int32_t* rows = nullptr;   // [y.rows, taps]
  const float* weights = nullptr;  // [y.rows, taps]
  int32_t taps = 1;
};
// dx[rows[i, k]] += weights[i, k] · dy[i], i and k in order.
struct MixRowsGradOp {
  Tensor dx, dy;
  const int32_t* rows = nullptr;
  const float* weights = nullptr;
  int32_t taps = 1;
};

// FoldOp backwards: the rows of x that y was folded from become its parts, or get them added; rows that were skipped stay.
struct UnfoldOp {
  Tensor x, y;
  int32_t side = 0, factor = 1, skip = 0;
  bool transposed = false;
  bool add = false;
};

// Logits become scale · the gradient of Σ weight · (lse(logits[row]) - logits[row, target]), in place.
struct TokenLossOp {
  struct Term {
    int32_t row = 0, target = 0;
    double weight = 0;
  };
  Tensor
      values;  // [terms, 3]: lse and the target's logit, whose difference is the loss; the row's largest logit
  Tensor logits;
  const Term* terms = nullptr;  // by row
  int32_t num_terms = 0;
  double scale = 1;
};

// margins[r] = h[r]·head[pair[0]] - h[r]·head[pair[1]], added up in double: the logit of a score that two pieces make.
struct MarginsOp {
  Tensor margins;  // F64 [rows, 1]
  Tensor h, head;
  int32_t pair[2] = {0, 0};
};
// From the gradient of every row's margin. Only the two rows of the head take part.
struct MarginsGradOp {
  Tensor d_h;     // overwritten
  Tensor d_head;  // added to; empty: the head is frozen
  Tensor h, head;
  const double* d_margins = nullptr;  // h.rows of them
  int32_t pair[2] = {0, 0};
};

// sum = Σ x² over all of `tensors`, in double and in one order. They have no gaps: TrainingOps::allocate() made them.
struct SumOfSquaresOp {
  Tensor sum;  // F64 [1, 1]
  const Tensor* tensors = nullptr;
  int32_t num_tensors = 0;
};

// One step of AdamW with decoupled weight decay, as torch.optim.AdamW:
//   g = clip·gradient;  w -= lr·decay·w;  m = β1·m + (1-β1)·g;  v = β2·v + (1-β2)·g²
//   w -= lr/correction1 · m / (sqrt(v)/sqrt(correction2) + eps),  correction = 1 - β^t
struct AdamwParameter {
  Tensor value, gradient, m, v;  // made by TrainingOps::allocate()
  double decay = 0;
};
struct AdamwOp {
  const AdamwParameter* parameters = nullptr;
  int32_t num_parameters = 0;
  float clip = 1;
  double learning_rate = 0, beta1 = 0, beta2 = 0, eps = 0;
  double correction1 = 1, correction2 = 1;
};

// Calls enqueue in order on the device that it belongs to, and live as long. Scalars and states come back through
// Device::read().
class TrainingOps {
 public:
  virtual ~TrainingOps() = default;

  // Zero, F32, rows without gaps: parameters, gradients and moments, which the optimizer takes as one run each.
  virtual Tensor allocate(int rows, int cols) = 0;  // Device::release() gives it back

  // One upload for all layers of a micro-batch.
  virtual StagedTrees stage(const TreePlan& plan) = 0;
  virtual void release(const StagedTrees& trees) noexcept = 0;

#define MMPRM_TRAINING_OP(name, Op) virtual void name(const Op& op) = 0;
#include "device/training_ops.def"
#undef MMPRM_TRAINING_OP
};

}  // namespace mmprm
