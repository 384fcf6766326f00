// Kernels × threads for training: products with parameters, norms, attention, forward and backward. Owns the
// working memory that they share; knows nothing of layers.
//
// INVARIANT: work is cut into units by shapes alone and every sum has one order, so gradients have the same
// bits whatever the number of threads.
#pragma once
#include <atomic>
#include <vector>

#include "cpu/thread_pool.h"
#include "kernels/table.h"
#include "models/patch_grid.h"
#include "train/parameters.h"
#include "train/row_buffer.h"

namespace mmprm {

// Rows of F32 activations.
struct Rows {
  float* data = nullptr;
  int64_t stride = 0;
  int rows = 0, cols = 0;

  Rows() = default;
  Rows(const RowBuffer& buffer, int num_rows)
      : data(buffer.row_f32(0)), stride(buffer.stride()), rows(num_rows), cols(buffer.cols()) {}
  float* row(int64_t r) const { return data + r * stride; }
  Rows columns(int first, int count) const {
    Rows out = *this;
    out.data += first;
    out.cols = count;
    return out;
  }
};

// A low-rank addition to some rows of a weight: y[rows] += scale · (x·Aᵀ)·Bᵀ.
struct Adapter {
  Parameter* a = nullptr;  // [rank, K]
  Parameter* b = nullptr;  // [rows of the adapted tensor, rank]
  float scale = 1;
  std::vector<StoredTensor::Block>
      row_blocks;  // rows of the adapted tensor (in_tensor) -> rows of the weight
};

struct TrainLinear {
  Parameter* weight = nullptr;
  Parameter* bias = nullptr;
  std::vector<Adapter> adapters;
};

struct TrainNorm {
  Parameter* weight = nullptr;
  Parameter* bias = nullptr;  // null: an RMS norm
  float eps = 0;

  bool empty() const { return !weight; }
};

class TrainOps {
 public:
  TrainOps(const KernelTable& kernels, ThreadPool& pool, DType compute)
      : kernels_(kernels), pool_(pool), compute_(compute) {}

  // y = x·wᵀ + bias (+ addend, which may be y)
  void linear(const TrainLinear& linear, const Rows& x, const Rows& y, const Rows* addend = nullptr);
  // Adds to the gradients of weight, bias and adapters, where they have one.
  void linear_grad_weight(const TrainLinear& linear, const Rows& x, const Rows& dy);
  // dx = dy·w
  void linear_grad_input(const TrainLinear& linear, const Rows& dy, const Rows& dx);

  void norm(const TrainNorm& norm, const Rows& x, const Rows& y);
  // dx += …
  void norm_grad(const TrainNorm& norm, const Rows& x, const Rows& dy, const Rows& dx);

  void attention(const TreeAttentionArgs& args) { run_attention(args, kernels_.tree_attention.forward); }
  void attention_grad(const TreeAttentionArgs& args) {
    run_attention(args, kernels_.tree_attention.backward);
  }

  void rotate(const RotateArgs& args, int rows);
  void swiglu(const Rows& gate_up, const Rows& y);
  void swiglu_grad(const Rows& gate_up, const Rows& y);
  void gelu(const Rows& x, const Rows& y);
  void gelu_grad(const Rows& x, const Rows& y);
  void gelu_tanh(const Rows& x, const Rows& y);
  void gelu_tanh_grad(const Rows& x, const Rows& y);
  void scaled_add(const Rows& x, const Parameter& scale, const Rows& z, const Rows& y);
  // dz = scale·dy, and the gradient of the scale. z and dz share their stride with dy.
  void scaled_grad(const Rows& dy, const Parameter& scale, const Rows& z, const Rows& dz);

  void clear(const Rows& x);
  // x = what lies at `packed` without gaps.
  void write(const Rows& x, const float* packed);
  // A row of y is the next n = x.rows / y.rows rows of x, one behind the other. The gradient: dx += dy, cut again.
  void join(const Rows& x, const Rows& y);
  void join_grad(const Rows& dy, const Rows& dx);
  // A row of y is a sum of rows of a table; the gradient is added to the table's.
  void mix(const Parameter& table, const std::vector<PositionMix>& mixes, const Rows& y);
  void mix_grad(const Parameter& table, const std::vector<PositionMix>& mixes, const Rows& dy);
  // x[t] += rows[r] where ids[t] is -1 - r; the gradient: d_rows[r] += dx[t].
  void add_chosen(const std::vector<int32_t>& ids, const Rows& rows, const Rows& x);
  void add_chosen_grad(const std::vector<int32_t>& ids, const Rows& dx, const Rows& d_rows);

  void cross_entropy(const CrossEntropyArgs& args, int rows);

  struct Target {
    float* data = nullptr;
    int64_t stride = 0;
    bool add = false;  // to what is there
  };
  // c = a·b, or c += a·b.
  void product(const MatmulOperand& a, const MatmulOperand& b, const Target& c, int M, int N, int K);

  ThreadPool& pool() const { return pool_; }
  const KernelTable& kernels() const { return kernels_; }
  DType compute() const { return compute_; }

 private:
  void run_attention(const TreeAttentionArgs& args,
                     void (*run)(const TreeAttentionArgs& args, int64_t unit, float* scratch));
  template <typename Columns>
  void for_strips(int cols, Columns columns);
  void add_column_sum(const float* x, int64_t stride, int rows, int cols, float* sum);
  void matmul(MatmulArgs args);
  float* low_rank_rows(const Adapter& adapter, const Rows& x);
  void adapter(const Adapter& adapter, const Rows& x, const Rows& y);
  void adapter_grad_weight(const Adapter& adapter, const Rows& x, const Rows& dy);
  float* adapter_grad_inner(const Adapter& adapter, const Rows& dy);

  const KernelTable& kernels_;
  ThreadPool& pool_;
  DType compute_;
  AlignedBuffer packed_, partial_, low_rank_, low_rank_grad_;
  std::vector<AlignedBuffer> scratch_;  // of attention, one per thread
};

}  // namespace mmprm
