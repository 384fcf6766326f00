// The language model: embeddings -> L layers -> final norm -> a head. Executes a StepPlan.
//
//   x_TC = embed(tokens);  per layer:  x += wo · attention(rope(wqkv · norm(x)));  x += w2 · swiglu(w13 ·
//   norm(x))
//
// The residual stream x stays F32. In the last layer only the plan's output rows go on after the keys and
// values are written: nothing else can be seen any more.
#pragma once
#include <vector>

#include "models/kernel_runner.h"
#include "models/packed_model.h"
#include "models/rope_table.h"
#include "models/row_buffer.h"
#include "models/step_plan.h"

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

  // image_rows: F32 rows of C that negative tokens of the plan refer to; may be null.
  DecoderOutput forward(const StepPlan& plan, const float* image_rows, const Readout& readout,
                        const KernelRunner& run);

 private:
  void reserve(const StepPlan& plan);
  void embed(const StepPlan& plan, const float* image_rows);
  void write_qkv(const PackedDecoderLayer& layer, const StepPlan& plan, const KernelRunner& run);
  void attend(const std::vector<RowKeys>& rows, const int32_t* q_rows, const KernelRunner& run);
  void project_and_mlp(const PackedDecoderLayer& layer, int rows, const KernelRunner& run);
  void keep_output_rows(const StepPlan& plan);
  void capture_hidden(const std::vector<int32_t>& rows, DecoderOutput& out) const;
  void read_out(int rows, const Readout& readout, const KernelRunner& run, DecoderOutput& out);
  void read_pair(int rows, const int pair[2], DecoderOutput& out) const;

  const PackedDecoder& model_;
  DType dtype_;
  RopeTable rope_;
  AlignedBuffer kv_;  // keys and values of one layer; each layer overwrites the last one's
  // Residual stream and normed output rows in F32, then one row block of activations each.
  RowBuffer x_, output_, qkv_, normed_, mlp_;
  RowBuffer q_, attended_;  // all rows
};

}  // namespace mmprm
