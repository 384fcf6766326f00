// tree_attention: softmax attention over rows that form prefix trees, forward and backward, for training.
//
//   o_i = Σ_j p_ij v_j,  p_i = softmax_j(q_i·k_j / sqrt(D)),  j over the rows of i's ancestors and of its own
//   segment up to itself (causal) or all of it; with a window, over the last `window` of these
//
// A segment is a run of consecutive rows that share their ancestors; a sequence on its own is
// one segment without parent, so is an image tile (not causal). Backward recomputes p from the
// saved logarithms of the sums.
//
// A unit is one tree and one key/value head, done by one thread in a fixed order: gradients of shared keys
// need no atomics and do not depend on the number of threads. Reference: double arithmetic.
#pragma once
#include <cstddef>
#include <cstdint>

#include "device/tree_plan.h"
#include "include/engine/types.h"

namespace mmprm {

struct TreeAttentionArgs {
  const float* qkv = nullptr;  // rows of (H + 2G)·D, rotated, q not scaled
  int64_t qkv_stride = 0;
  const TreeSegment* segments = nullptr;
  const int32_t* tree_begin_1 = nullptr;  // tree t: segments [tree_begin_1[t], tree_begin_1[t + 1])
  int num_trees = 0;
  int max_keys = 0;  // rows of the longest path
  bool causal = true;
  int window = 0;  // rows that a row sees, itself among them; 0: all. With causal order alone
  int num_heads_H = 0, num_heads_G = 0, head_dim_D = 0;
  DType compute = DType::kF32;  // of the products, as in kernels/matmul
  float* o = nullptr;           // rows of H·D
  int64_t o_stride = 0;
  float* lse_TH = nullptr;  // log of the sum of exponentials, written by forward, read by backward
  int64_t lse_stride = 0;
  const float* d_o = nullptr;  // backward only
  int64_t d_o_stride = 0;
  float* d_qkv = nullptr;  // like qkv; rows of the trees are overwritten
};

struct TreeAttentionKernel {
  size_t (*scratch_floats)(const TreeAttentionArgs& args);  // of one unit in work, 64-byte aligned
  void (*forward)(const TreeAttentionArgs& args, int64_t unit, float* scratch);
  void (*backward)(const TreeAttentionArgs& args, int64_t unit, float* scratch);
};

inline int64_t tree_attention_units(const TreeAttentionArgs& args) {
  return int64_t(args.num_trees) * args.num_heads_G;
}

}  // namespace mmprm
