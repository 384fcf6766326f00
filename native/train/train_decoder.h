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

  // image_rows: what negative tokens refer to, and features that are added after the first layers. Returns the last layer's output, before the final norm.
  Rows forward(const TrainPlan& plan, const Rows& image_rows, const std::atomic<bool>* cancelled);
  // Where backward expects the gradient of forward's result; cleared by forward.
  Rows output_gradient() const { return {d_x_, num_rows_}; }
  // d_image_rows: null, or added to.
  void backward(const TrainPlan& plan, const Rows* d_image_rows, const std::atomic<bool>* cancelled);

 private:
  struct Kept {
    RowBuffer x_mid, qkv, attended, gate_up;
    RowBuffer raw_qk;  // before the norms of heads; only where there are some
    AlignedBuffer lse;
    explicit Kept(const DecoderSpec& s);
    void reserve(int rows, const DecoderSpec& s);
  };
  Kept& kept(size_t layer) { return kept_[recompute_ ? 0 : layer]; }
  Rows rows(const RowBuffer& buffer) const { return {buffer, num_rows_}; }

  void reserve(const TrainPlan& plan);
  void embed(const TrainPlan& plan, const Rows& image_rows);
  void place(const TrainPlan& plan);
  // What the tower gives to be added after layer l, where it gives it: columns behind a picture's own.
  bool has_feature(size_t l, const Rows& image_rows) const {
    return image_rows.cols >= static_cast<int>(2 + l) * spec_.hidden_C;
  }
  Rows feature(size_t l, const Rows& image_rows) const {
    return image_rows.columns(static_cast<int>(1 + l) * spec_.hidden_C, spec_.hidden_C);
  }
  void embed_grad(const TrainPlan& plan, const Rows* d_image_rows);
  void forward_layer(size_t l, const TrainPlan& plan);
  void norm_heads(const TrainDecoderLayer& layer, Kept& k);
  void norm_heads_grad(const TrainDecoderLayer& layer, Kept& k);
  void backward_mlp(size_t l);
  void backward_attention(size_t l, const TrainPlan& plan);
  TreeAttentionArgs attention_args(Kept& kept, const TrainPlan& plan) const;
  RotateArgs rotate_args(const RowBuffer& qkv, const TrainPlan& plan, float sign) const;

  const DecoderSpec& spec_;
  const TrainDecoderParameters& parameters_;
  TrainOps& ops_;
  bool recompute_;
  RopeTable rope_;
  std::vector<float> row_angles_;  // one row each, where they do not follow from positions
  std::vector<int32_t> angle_rows_;
  int num_rows_ = 0;
  std::vector<RowBuffer> x_;  // L + 1 states
  std::vector<Kept> kept_;
  RowBuffer normed_, mlp_, d_x_, d_narrow_, d_qkv_, d_raw_qk_;
};

}  // namespace mmprm
