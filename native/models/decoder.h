// The language model: embeddings -> L layers -> final norm -> a head. Executes a StepPlan.
//
//   x_TC = embed(tokens)
//   per layer:  x += wo · attention(rope(head norms(wqkv · norm(x))));  x += w2 · swiglu(w13 · norm(x))
//
// The residual stream x stays F32. In the last layer only the plan's output rows go on after the keys and
// values are written: nothing else can be seen any more.
#pragma once
#include "models/packed_model.h"
#include "models/rope_table.h"
#include "models/workspace.h"

namespace mmprm {

class Decoder {
 public:
  // What `stop` may do: throw, to end a pass between two layers.
  using Stop = std::function<void()>;

  Decoder(Device& device, const PackedDecoder& model, DType activation_dtype);

  // One pass over rows whose pages outlive the call and may have been filled by earlier ones. image_rows: F32
  // rows that negative tokens of the plan refer to, of C, or of C and then C for each feature that is added after a layer
  // (deepstack); may be empty. Results stay until the next call.
  struct StepOutput {
    Tensor logits;  // F32 [plan.head_outputs, V or classes]
    Tensor pairs;   // F32 [plan.pair_outputs, 2]
  };
  StepOutput step(const StepPlan& plan, const Pages& pages, const Tensor& image_rows, const Stop& stop);

  // The same over whole sequences, in pages of its own, numbered from 0, read back.
  struct Output {
    int width = 0;              // V, classes, or 2 where the plan has pair outputs only
    std::vector<float> values;  // [head outputs or pair outputs, width], logits
    std::vector<float> hidden;  // [L + 1, outputs, C]: embeddings, each layer's output, the last after the
                                // final norm
  };
  Output forward(const StepPlan& plan, const Tensor& image_rows, bool want_hidden, const Stop& stop);

  // V, or the classes of a reward head.
  int head_width() const { return is_reward_model() ? model_.spec.num_classes : model_.spec.vocab_V; }
  int width() const { return model_.spec.hidden_C; }

 private:
  struct Pass {
    Staged plan;
    Pages pages;
    Tensor image_rows;
    Tensor angles;
    bool want_hidden;
  };

  const Linear& last_reward() const {
    return model_.reward[2].empty() ? model_.reward[1].empty() ? model_.reward[0] : model_.reward[1]
                                    : model_.reward[2];
  }
  bool is_reward_model() const { return model_.spec.reward_head != RewardHead::kNone; }
  Pass prepare(const StepPlan& plan, const Pages& pages, const Tensor& image_rows, bool want_hidden);
  void run(const Pass& pass, const Stop& stop, bool whole_head);
  Tensor angles_of(const StepPlan& plan, int rows);
  void reserve_table(const StepPlan& plan);
  void grow_angles(Tensor& angles, int rows);
  void write_angles(const Tensor& angles, int rows, const float* values);
  void add_features(const Tensor& x, const Pass& pass, int layer);
  void reserve_own_pages(const StepPlan& plan);
  void compute(const Pass& pass);
  void write_qkv(const PackedDecoderLayer& layer, const Pass& pass, int page_layer);
  void project_and_mlp(const PackedDecoderLayer& layer, const Tensor& x, const Tensor& attended);
  void read_outputs(const Pass& pass);
  void read_head(const Tensor& chosen, const Tensor& logits);
  void norm(const NormWeights& norm, const Tensor& y, const Tensor& x);

  Device& device_;
  const PackedDecoder& model_;
  DType dtype_;
  RopeTable rope_;
  Workspace workspace_;
  Pages own_pages_;  // of forward(): one layer's, which each layer overwrites
  // One row block each; then all rows of a step; then its output rows.
  Tensor qkv_, normed_, mlp_;
  Tensor inner_[2];  // of a reward head, between its products
  Tensor x_, q_, attended_, angles_;
  Tensor row_angles_;  // of a step whose rows bring their own
  Tensor kept_, chosen_, logits_, pair_rows_, pairs_, hidden_;
};

}  // namespace mmprm
