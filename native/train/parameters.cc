#include "train/parameters.h"

#include <algorithm>

#include "base/float_types.h"

namespace mmprm {
namespace {

constexpr size_t kElementsAtOnce = size_t{1} << 20;  // that are converted or moved between host and device

const Tensor& field_of(const Parameter& p, TensorField field) {
  switch (field) {
    case TensorField::kGradient:
      return p.gradient;
    case TensorField::kM:
      return p.m;
    case TensorField::kV:
      return p.v;
    case TensorField::kValue:
      break;
  }
  return p.value;
}

// body(elements [first, first + count) of a tensor without gaps, as one row; first; count), block by block.
template <typename Body>
void for_blocks(const Tensor& tensor, size_t begin, size_t size, Body&& body) {
  for (size_t first = 0; first < size; first += kElementsAtOnce) {
    const size_t count = std::min(kElementsAtOnce, size - first);
    Tensor block = tensor.columns(int64_t(begin + first), int(count));
    block.rows = 1;
    body(block, first, count);
  }
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

ParameterSet::ParameterSet(const Checkpoint& checkpoint, Device& device)
    : device_(device), ops_(*device.training()) {
  for (const auto& [name, view] : checkpoint.tensors()) {
    if (view.size_bytes > 0) by_address_[view.data] = &view;
  }
}

ParameterSet::~ParameterSet() {
  for (const Parameter& p : parameters_) {
    for (const Tensor& tensor : {p.value, p.gradient, p.m, p.v}) {
      if (!tensor.empty()) device_.release(tensor);
    }
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

Parameter& ParameterSet::add_parameter(int rows, int cols, ModelPart part) {
  Parameter& p = parameters_.emplace_back();
  p.rows = rows;
  p.cols = cols;
  p.part = part;
  p.value = ops_.allocate(rows, cols);
  return p;
}

Parameter* ParameterSet::add_pieces(const std::vector<Piece>& pieces, int rows, int cols, ModelPart part) {
  if (rows == 0) return nullptr;
  const auto known = by_first_byte_.find(pieces[0].data);
  if (known != by_first_byte_.end()) return known->second;

  Parameter& p = add_parameter(rows, cols, part);
  by_first_byte_[pieces[0].data] = &p;
  std::vector<float> values;
  size_t at = 0;
  for (const Piece& piece : pieces) {
    for_blocks(p.value, at, piece.count, [&](const Tensor& block, size_t first, size_t count) {
      values.resize(count);
      for (size_t i = 0; i < count; ++i) values[i] = load_as_f32(piece.data, piece.dtype, first + i);
      device_.write(block, values.data());
    });
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

Parameter* ParameterSet::add_stored(const std::string& name, int rows, int cols, ModelPart part) {
  for (const auto& [address, view] : by_address_) {
    if (clean_name(view->name) != name) continue;
    size_t size = 1;
    for (int64_t extent : view->shape) size *= size_t(extent);
    if (!view->readable || size != size_t(rows) * cols) {
      throw Error(ErrorCode::kInvalidModel, view->file + ": " + name + " has " + std::to_string(size) +
                                                " numbers of type " + view->dtype_name + ", not " +
                                                std::to_string(size_t(rows) * cols) + " floats");
    }
    return add_pieces({{view->data, view->dtype, size}}, rows, cols, part);
  }
  return nullptr;
}

Parameter* ParameterSet::add_new(const std::string& name, int rows, int cols, ModelPart part,
                                 const std::vector<int64_t>& shape) {
  Parameter& p = add_parameter(rows, cols, part);
  tensors_[name] = {name, shape, DType::kF32, &p, {{0, 0, p.size()}}};
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
  std::vector<float> values(size_t(rows) * C);
  device_.read(values.data(), matrix.value);
  std::vector<double> mean(C);
  int num_old = 0;
  for (int r = 0; r < old_rows; ++r) {
    if (std::find(ids.begin(), ids.end(), r) != ids.end()) continue;
    ++num_old;
    for (int c = 0; c < C; ++c) mean[c] += values[size_t(r) * C + c];
  }
  if (num_old == 0) throw Error(ErrorCode::kInvalidArgument, "every row of the vocabulary is said to be new");
  for (int r = 0; r < rows; ++r) {
    if (r < old_rows && std::find(ids.begin(), ids.end(), r) == ids.end()) continue;
    for (int c = 0; c < C; ++c) values[size_t(r) * C + c] = float(mean[c] / num_old);
  }
  device_.release(matrix.value);
  matrix.value = {};
  matrix.value = ops_.allocate(rows, C);
  matrix.rows = rows;
  set_values(matrix, values);
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
    for (Tensor* tensor : {&p.gradient, &p.m, &p.v}) *tensor = ops_.allocate(p.rows, p.cols);
  }
}

void ParameterSet::clear_gradients() {
  for (Parameter& p : parameters_) {
    if (p.trainable) ops_.fill({p.gradient, 0});
  }
}

std::vector<float> ParameterSet::values(const Parameter& parameter) const {
  std::vector<float> values(parameter.size());
  device_.read(values.data(), parameter.value);
  return values;
}

void ParameterSet::set_values(const Parameter& parameter, const std::vector<float>& values) {
  device_.write(parameter.value, values.data());
}

const StoredTensor* ParameterSet::find(const std::string& name) const {
  const auto at = tensors_.find(name);
  return at == tensors_.end() ? nullptr : &at->second;
}

std::vector<float> ParameterSet::read(const StoredTensor& tensor, TensorField field) const {
  const Tensor& from = field_of(*tensor.parameter, field);
  if (from.empty()) return {};
  std::vector<float> values(tensor.size());
  for (const StoredTensor::Block& b : tensor.blocks) {
    for_blocks(from, b.in_parameter, b.count, [&](const Tensor& block, size_t first, size_t) {
      device_.read(values.data() + b.in_tensor + first, block);
    });
  }
  return values;
}

void ParameterSet::write(const StoredTensor& tensor, TensorField field, const float* values) {
  const Tensor& to = field_of(*tensor.parameter, field);
  if (to.empty()) throw Error(ErrorCode::kInternal, tensor.name + " is frozen and has no moments");
  for (const StoredTensor::Block& b : tensor.blocks) {
    for_blocks(to, b.in_parameter, b.count, [&](const Tensor& block, size_t first, size_t) {
      device_.write(block, values + b.in_tensor + first);
    });
  }
}

}  // namespace mmprm
