// Low-rank adapters (LoRA): which weights get one, how they begin, and their weights merged into the base.
#include <algorithm>
#include <cmath>

#include "base/philox.h"
#include "train/train_model.h"

namespace mmprm {
namespace {

// "language_model.model.layers.0.attention.wqkv.weight" -> "wqkv"
std::string last_part(const std::string& module) { return module.substr(module.rfind('.') + 1); }

std::string module_of(const std::string& tensor) { return tensor.substr(0, tensor.rfind(".weight")); }

// uniform(-1/sqrt(K), 1/sqrt(K)), as torch's linear layers begin.
std::vector<float> uniform_values(const Parameter& a, uint64_t seed, uint32_t stream) {
  const double bound = 1 / std::sqrt(double(a.cols));
  std::vector<float> values(a.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const double u =
        philox_uniform(philox4x32({uint32_t(i), uint32_t(i >> 32), stream, 0}, philox_key(seed)));
    values[i] = float((2 * u - 1) * bound);
  }
  return values;
}

std::string list_of(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

}  // namespace

void TrainModel::add_adapters(const LoraOptions& options) {
  std::vector<std::string> unmatched = options.targets, known;
  uint32_t stream = 0;
  for (TrainLinear* linear : language_linears()) {
    std::vector<const StoredTensor*> stored;
    for (const auto& [name, tensor] : parameters_.tensors()) {
      if (tensor.parameter == linear->weight) stored.push_back(&tensor);
    }
    for (const StoredTensor* tensor : stored) {
      const std::string name = tensor->name, module = module_of(name), last = last_part(module);
      if (std::find(known.begin(), known.end(), last) == known.end()) known.push_back(last);
      if (std::find(options.targets.begin(), options.targets.end(), last) == options.targets.end()) continue;
      std::erase(unmatched, last);
      const int rows = int(tensor->shape[0]), cols = int(tensor->shape[1]);
      Adapter adapter;
      adapter.scale = float(options.alpha / options.rank);
      for (const StoredTensor::Block& b : tensor->blocks) {
        adapter.row_blocks.push_back({b.in_parameter / cols, b.in_tensor / cols, b.count / cols});
      }
      const auto add = [&](const char* matrix, int r, int c) {
        return parameters_.add_new(kPeftPrefix + module + matrix, r, c, ModelPart::kAdapter, {r, c});
      };
      adapter.a = add(".lora_A.weight", options.rank, cols);
      adapter.b = add(".lora_B.weight", rows, options.rank);
      parameters_.set_values(*adapter.a, uniform_values(*adapter.a, options.seed, stream++));
      adapters_[name] = adapter;
      linear->adapters.push_back(adapter);
    }
  }
  if (unmatched.empty() && !options.targets.empty()) return;
  throw Error(ErrorCode::kInvalidArgument,
              "LoRA targets that the language model does not have: " +
                  (options.targets.empty() ? "none were given" : list_of(unmatched)) + "; it has " +
                  list_of(known));
}

std::vector<float> TrainModel::merged(const StoredTensor& tensor) const {
  std::vector<float> values = parameters_.read(tensor, TensorField::kValue);
  const auto at = adapters_.find(tensor.name);
  if (at == adapters_.end()) return values;
  const Adapter& adapter = at->second;
  const int rank = adapter.a->rows, K = adapter.a->cols;
  const std::vector<float> a = parameters_.values(*adapter.a), b = parameters_.values(*adapter.b);
  for (int r = 0; r < adapter.b->rows; ++r) {
    for (int k = 0; k < K; ++k) {
      double sum = 0;
      for (int j = 0; j < rank; ++j) {
        sum += double(b[size_t(r) * rank + j]) * a[size_t(j) * K + k];
      }
      values[size_t(r) * K + k] += float(adapter.scale * sum);
    }
  }
  return values;
}

}  // namespace mmprm
