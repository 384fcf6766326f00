// The weights under training, on the device: F32 masters in canonical row order (see models/weight_table.h), gradients
// and AdamW's moments beside them, and the way back to the tensors of the checkpoint, name by name.
//
// INVARIANT: every stored tensor lies in one parameter, in one or more blocks; a parameter holds one or more
// whole stored tensors (q|k|v, gate|up). A tied head is the embedding's parameter.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "device/device.h"
#include "formats/checkpoint.h"
#include "include/engine/trainer.h"
#include "models/weight_table.h"

namespace mmprm {

// kKept: stored beside the model and saved with it, never trained.
enum class ModelPart { kVision, kProjector, kLanguage, kAdapter, kHead, kKept };

struct Parameter {
  int rows = 0, cols = 0;  // a vector has one column
  ModelPart part = ModelPart::kLanguage;
  bool trainable = false;
  Tensor value;           // [rows, cols] without gaps, as the next three
  Tensor gradient, m, v;  // empty: frozen

  bool empty() const { return rows == 0; }
  size_t size() const { return size_t(rows) * cols; }
  bool is_matrix() const { return cols > 1; }
};

struct StoredTensor {
  struct Block {  // elements
    size_t in_parameter = 0, in_tensor = 0, count = 0;
  };
  std::string name;
  std::vector<int64_t> shape;
  DType dtype = DType::kF32;  // as it was stored
  Parameter* parameter = nullptr;
  std::vector<Block> blocks;

  size_t size() const;
};

class ParameterSet {
 public:
  // The device must train, and outlive the set.
  ParameterSet(const Checkpoint& checkpoint, Device& device);
  ~ParameterSet();
  ParameterSet(const ParameterSet&) = delete;
  ParameterSet& operator=(const ParameterSet&) = delete;

  // Null for an empty source. The same rows asked for twice are the same parameter.
  Parameter* add(const MatrixSource& source, ModelPart part);
  Parameter* add(const VectorSource& source, ModelPart part);
  // A whole stored tensor by its name; null where the checkpoint has none. Throws kInvalidModel where it has another size.
  Parameter* add_stored(const std::string& name, int rows, int cols, ModelPart part);
  // A new tensor, zero, that no checkpoint holds yet.
  Parameter* add_new(const std::string& name, int rows, int cols, ModelPart part,
                     const std::vector<int64_t>& shape);

  // The shape under which a parameter of one stored tensor is saved, of as many elements.
  void set_shape(const Parameter& parameter, const std::vector<int64_t>& shape);

  // Rows `ids` of a vocabulary matrix (appended where it is too short) become the mean of all the others.
  void set_rows_to_mean(Parameter& matrix, const std::vector<int32_t>& ids);

  // Gives trainable parameters their gradients and moments. Once, after everything was added.
  void set_trainable(const std::vector<ModelPart>& parts);
  void clear_gradients();
  std::vector<float> values(const Parameter& parameter) const;
  void set_values(const Parameter& parameter, const std::vector<float>& values);

  const std::map<std::string, StoredTensor>& tensors() const { return tensors_; }
  const StoredTensor* find(const std::string& name) const;
  std::deque<Parameter>& all() { return parameters_; }
  const std::deque<Parameter>& all() const { return parameters_; }

  // A stored tensor's elements in the stored order. Reading a frozen one's gradient gives nothing.
  std::vector<float> read(const StoredTensor& tensor, TensorField field) const;
  void write(const StoredTensor& tensor, TensorField field, const float* values);

 private:
  struct Piece {  // elements of one stored tensor that follow one another
    const std::byte* data;
    DType dtype;
    size_t count;
  };
  Parameter& add_parameter(int rows, int cols, ModelPart part);
  Parameter* add_pieces(const std::vector<Piece>& pieces, int rows, int cols, ModelPart part);
  const TensorView& tensor_at(const std::byte* data) const;

  Device& device_;
  TrainingOps& ops_;
  std::map<const std::byte*, const TensorView*> by_address_;
  std::map<const std::byte*, Parameter*> by_first_byte_;
  std::map<std::string, StoredTensor> tensors_;
  std::deque<Parameter> parameters_;
};

}  // namespace mmprm
