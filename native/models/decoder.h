// The language model: embeddings -> L layers -> final norm -> a head. Executes a StepPlan.
//
//   x_TC = embed(tokens);  per layer:  x += wo · attention(rope(wqkv · norm(x)));  x += w2 · swiglu(w13 ·
//   norm(x))
//
// The residual stream x stays F32. In the last layer only the plan's output rows go on after the keys and
// values are written: nothing else can be seen any more.
#pragma once
#include <span>
#include <vector>

#include "device/step_plan.h"
#include "models/kernel_runner.h"
#include "models/kv_store.h"
#include "models/packed_model.h"
#include "models/rope_table.h"
#include "models/row_buffer.h"

namespace mmprm {

enum class ReadoutKind { kLogits, kPair, kClasses };

struct Readout {
  ReadoutKind kind = ReadoutKind::kLogits;
  int pair[2] = {0, 0};  // rows of the head, for kPair
  bool hidden = false;   // also return hidden states, for inspection
};

struct DecoderOutput {
  int width = 0;              // V, 2, or num_classes
  std::vector<float> values;  // [output rows, width], logits
  std::vector<float>
      hidden;  // [L + 1, output rows, C]: embeddings, each layer's output, the last after the final norm
};

class Decoder {
 public:
  Decoder(const PackedDecoder& model, DType activation_dtype);

  // One pass over whole sequences, in pages of its own. image_rows: F32 rows of C that negative tokens of the
  // plan refer to; may be null.
  DecoderOutput forward(const StepPlan& plan, const float* image_rows, const Readout& readout,
                        const KernelRunner& run);

  // The same over pages that outlive the call, which the rows of earlier calls have filled. The output rows
  // stay until the next call, for the two below.
  void step(const StepPlan& plan, const KvLayers& kv, const float* image_rows, const KernelRunner& run);

  // logits: [outputs, V]. outputs: indices into the plan's output rows.
  void read_logits(std::span<const int32_t> outputs, float* logits, const KernelRunner& run);

  // kPair or kClasses: [outputs, width].
  DecoderOutput read_scores(std::span<const int32_t> outputs, const Readout& readout,
                            const KernelRunner& run);

  int vocab() const { return model_.spec.vocab_V; }
  int num_classes() const { return model_.spec.num_classes; }
  int width() const { return model_.spec.hidden_C; }

 private:
  void reserve(const StepPlan& plan);
  void reserve_own_pages(const StepPlan& plan);
  void compute(const StepPlan& plan, const KvLayers& kv, const float* image_rows, const KernelRunner& run,
               DecoderOutput* hidden);
  void embed(const StepPlan& plan, const float* image_rows);
  void write_qkv(const PackedDecoderLayer& layer, const StepPlan& plan, const KvPages& kv,
                 const KernelRunner& run);
  void attend(const std::vector<RowKeys>& rows, const int32_t* q_rows, const KvPages& kv,
              const KernelRunner& run);
  void project_and_mlp(const PackedDecoderLayer& layer, int rows, const KernelRunner& run);
  void keep_output_rows(const StepPlan& plan);
  void capture_hidden(const std::vector<int32_t>& rows, DecoderOutput& out) const;
  void norm_outputs(std::span<const int32_t> outputs, const RowBuffer& y, const KernelRunner& run);
  void read_head(const PackedLinear& head, const RowBuffer& a, int rows, float* values, int width,
                 const KernelRunner& run);
  void read_classes(std::span<const int32_t> outputs, DecoderOutput& out, const KernelRunner& run);
  void read_pair(int rows, const int pair[2], DecoderOutput& out) const;

  const PackedDecoder& model_;
  DType dtype_;
  RopeTable rope_;
  std::vector<RowKeys> rows_T_;  // of the plan
  AlignedBuffer own_pages_;      // of forward(): one layer's, which each layer overwrites
  // Residual stream and normed output rows in F32, then one row block of activations each.
  RowBuffer x_, output_, qkv_, normed_, mlp_;
  RowBuffer q_, attended_;  // all rows
};

}  // namespace mmprm
