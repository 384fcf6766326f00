#include "train/parameters.h"

#include <algorithm>

#include "base/float_types.h"

namespace mmprm {
namespace {

float* field_of(const Parameter& p, TensorField field) {
  switch (field) {
    case TensorField::kValue:
      return p.value();
    case TensorField::kGradient:
      return p.gradient();
    case TensorField::kM:
      return p.trainable ? p.m() : nullptr;
    case TensorField::kV:
      return p.trainable ? p.v() : nullptr;
  }
  return nullptr;
}

// PEFT's names around a wrapped module.
std::string clean_name(std::string name) {
  for (const std::string part : {"base_model.model.", ".base_layer"}) {
    for (size_t at; (at = name.find(part)) != std::string::npos;) name.erase(at, part.size());
  }
  return name;
}

}  // namespace

size_t StoredTensor::size() const {
  size_t size = 1;
  for (int64_t extent : shape) size *= size_t(extent);
  return size;
}

ParameterSet::ParameterSet(const Checkpoint& checkpoint) {
  for (const auto& [name, view] : checkpoint.tensors()) {
    if (view.size_bytes > 0) by_address_[view.data] = &view;
  }
}

const TensorView& ParameterSet::tensor_at(const std::byte* data) const {
  const auto after = by_address_.upper_bound(data);
  if (after == by_address_.begin()) throw Error(ErrorCode::kInternal, "a weight lies in no stored tensor");
  return *std::prev(after)->second;
}

Parameter* ParameterSet::add(const MatrixSource& source, ModelPart part) {
  std::vector<Piece> pieces;
  for (const MatrixSource::Block& b : source.blocks) {
    pieces.push_back({b.data, b.dtype, size_t(b.num_rows) * source.cols});
  }
  return add_pieces(pieces, source.rows, source.cols, part);
}

Parameter* ParameterSet::add(const VectorSource& source, ModelPart part) {
  std::vector<Piece> pieces;
  for (const VectorSource::Part& p : source.parts) {
    if (!p.data) throw Error(ErrorCode::kUnsupportedModel, "a bias that is stored in part cannot be trained");
    pieces.push_back({p.data, p.dtype, size_t(p.size)});
  }
  return add_pieces(pieces, source.size, 1, part);
}

Parameter* ParameterSet::add_pieces(const std::vector<Piece>& pieces, int rows, int cols, ModelPart part) {
  if (rows == 0) return nullptr;
  const auto known = by_first_byte_.find(pieces[0].data);
  if (known != by_first_byte_.end()) return known->second;

  Parameter& p = parameters_.emplace_back();
  by_first_byte_[pieces[0].data] = &p;
  p.rows = rows;
  p.cols = cols;
  p.part = part;
  p.value_storage.reserve(p.size() * sizeof(float));
  size_t at = 0;
  for (const Piece& piece : pieces) {
    for (size_t i = 0; i < piece.count; ++i) p.value()[at + i] = load_as_f32(piece.data, piece.dtype, i);
    const TensorView& view = tensor_at(piece.data);
    StoredTensor& tensor = tensors_[clean_name(view.name)];
    tensor.name = clean_name(view.name);
    tensor.shape = view.shape;
    tensor.dtype = view.dtype;
    tensor.parameter = &p;
    tensor.blocks.push_back({at, size_t(piece.data - view.data) / dtype_bytes(view.dtype), piece.count});
    at += piece.count;
  }
  return &p;
}

Parameter* ParameterSet::add_new(const std::string& name, int rows, int cols) {
  Parameter& p = parameters_.emplace_back();
  p.rows = rows;
  p.cols = cols;
  p.part = ModelPart::kAdapter;
  p.value_storage.reserve(p.size() * sizeof(float));
  tensors_[name] = {name, {rows, cols}, DType::kF32, &p, {{0, 0, p.size()}}};
  return &p;
}

void ParameterSet::set_shape(const Parameter& parameter, const std::vector<int64_t>& shape) {
  for (auto& [name, tensor] : tensors_) {
    if (tensor.parameter == &parameter) tensor.shape = shape;
  }
}

void ParameterSet::set_rows_to_mean(Parameter& matrix, const std::vector<int32_t>& ids) {
  if (ids.empty()) return;
  const int old_rows = matrix.rows, C = matrix.cols;
  const int rows = std::max(old_rows, *std::max_element(ids.begin(), ids.end()) + 1);
  std::vector<double> mean(C);
  int num_old = 0;
  for (int r = 0; r < old_rows; ++r) {
    if (std::find(ids.begin(), ids.end(), r) != ids.end()) continue;
    ++num_old;
    for (int c = 0; c < C; ++c) mean[c] += matrix.value()[size_t(r) * C + c];
  }
  if (num_old == 0) throw Error(ErrorCode::kInvalidArgument, "every row of the vocabulary is said to be new");
  AlignedBuffer grown(size_t(rows) * C * sizeof(float));
  std::copy_n(matrix.value(), matrix.size(), grown.as<float>());
  for (int r = 0; r < rows; ++r) {
    if (r < old_rows && std::find(ids.begin(), ids.end(), r) == ids.end()) continue;
    for (int c = 0; c < C; ++c) grown.as<float>()[size_t(r) * C + c] = float(mean[c] / num_old);
  }
  matrix.value_storage = std::move(grown);
  matrix.rows = rows;
  for (auto& [name, tensor] : tensors_) {
    if (tensor.parameter != &matrix) continue;
    tensor.shape = {rows, C};
    tensor.blocks = {{0, 0, matrix.size()}};
  }
}

void ParameterSet::set_trainable(const std::vector<ModelPart>& parts) {
  by_address_.clear();  // nothing more comes from the checkpoint, which may be gone from here on
  by_first_byte_.clear();
  for (Parameter& p : parameters_) {
    p.trainable = std::find(parts.begin(), parts.end(), p.part) != parts.end();
    if (!p.trainable) continue;
    for (AlignedBuffer* b : {&p.gradient_storage, &p.m_storage, &p.v_storage}) {
      b->reserve(p.size() * sizeof(float));
    }
  }
}

void ParameterSet::clear_gradients() {
  for (Parameter& p : parameters_) {
    if (p.trainable) std::fill_n(p.gradient(), p.size(), 0.0f);
  }
}

const StoredTensor* ParameterSet::find(const std::string& name) const {
  const auto at = tensors_.find(name);
  return at == tensors_.end() ? nullptr : &at->second;
}

std::vector<float> ParameterSet::read(const StoredTensor& tensor, TensorField field) const {
  const float* from = field_of(*tensor.parameter, field);
  if (!from) return {};
  std::vector<float> values(tensor.size());
  for (const StoredTensor::Block& b : tensor.blocks) {
    std::copy_n(from + b.in_parameter, b.count, values.data() + b.in_tensor);
  }
  return values;
}

void ParameterSet::write(const StoredTensor& tensor, TensorField field, const float* values) {
  float* to = field_of(*tensor.parameter, field);
  if (!to) throw Error(ErrorCode::kInternal, tensor.name + " is frozen and has no moments");
  for (const StoredTensor::Block& b : tensor.blocks) {
    std::copy_n(values + b.in_tensor, b.count, to + b.in_parameter);
  }
}

}  // namespace mmprm
