// The language model under training: forward keeps what backward needs, backward walks the layers in reverse.
//
//   x_mid = x + wo·attention(rope(head norms(wqkv·norm(x))));  x' = x_mid + w2·swiglu(w13·norm(x_mid))
//
// Kept per layer: x, x_mid, q|k before head norms, rotated q|k|v, attention's output and log-sums, gate|up. Norms and
// SwiGLU outputs are computed again. With `recompute` only x is kept, and a layer runs forward
// once more before its backward.
#pragma once
#include <atomic>
#include <vector>

#include "models/rope_table.h"
#include "train/train_model.h"
#include "train/train_plan.h"

namespace mmprm {

class TrainDecoder {
 public:
  TrainDecoder(const TrainModel& model, TrainOps& ops, bool recompute);

  // image_rows: what negative tokens refer to, and behind their own columns the features that the first layers add.
  // Returns the last layer's output, before the final norm.
  Tensor forward(const TrainPlan& plan, const Tensor& image_rows, const std::atomic<bool>* cancelled);
  // Where backward expects the gradient of forward's result; cleared by forward.
  Tensor output_gradient() const { return rows(d_x_); }
  // Of the plan of the last forward. d_image_rows: empty, or added to.
  void backward(const Tensor& d_image_rows, const std::atomic<bool>* cancelled);

 private:
  struct Kept {
    Tensor x_mid, qkv, attended, lse, gate_up;
    Tensor raw_qk;  // before the norms of heads; only where there are some
  };
  Kept& kept(size_t layer) { return kept_[recompute_ ? 0 : layer]; }
  Tensor rows(const Tensor& tensor) const { return tensor.part(0, num_rows_); }
  int heads_cols(int heads) const { return heads * spec_.head_dim_D; }

  void reserve(const TrainPlan& plan);
  void stage(const TrainPlan& plan);
  // What the tower gives to be added after layer l, where it gives it: columns behind a picture's own.
  bool has_feature(size_t l, const Tensor& image_rows) const {
    return image_rows.cols >= static_cast<int>(2 + l) * spec_.hidden_C;
  }
  Tensor feature(size_t l, const Tensor& image_rows) const {
    return image_rows.columns(static_cast<int>(1 + l) * spec_.hidden_C, spec_.hidden_C);
  }
  void forward_layer(size_t l);
  void norm_heads(const TrainDecoderLayer& layer, Kept& k);
  void norm_heads_grad(const TrainDecoderLayer& layer, Kept& k);
  void backward_mlp(size_t l);
  void backward_attention(size_t l);
  TreeAttentionOp attention_op(size_t layer);
  void rotate(const Tensor& qkv, float sign);

  const DecoderSpec& spec_;
  const TrainDecoderParameters& parameters_;
  TrainOps& ops_;
  bool recompute_;
  RopeTable rope_;
  Workspace workspace_;
  TreesOnDevice trees_;
  int num_rows_ = 0;
  std::vector<Tensor> x_;  // L + 1 states
  std::vector<Kept> kept_;
  Tensor angles_;            // by position
  Tensor row_angles_;        // by row, where they do not follow from positions
  bool own_angles_ = false;  // the plan's rows have those
  Tensor normed_, mlp_, d_x_, d_narrow_, d_qkv_, d_raw_qk_;
};

}  // namespace mmprm
