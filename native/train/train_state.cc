#include "train/train_state.h"

#include <set>

#include "base/float_types.h"
#include "formats/safetensors.h"
#include "formats/safetensors_writer.h"
#include "models/registry.h"

namespace mmprm {
namespace {

constexpr char kSteps[] = "num_steps";
constexpr struct {
  const char* prefix;
  TensorField field;
} kFields[] = {{"value/", TensorField::kValue}, {"m/", TensorField::kM}, {"v/", TensorField::kV}};

// As PEFT finds it in a running model.
std::string peft_name(const ModelSpec& spec, const std::string& name) {
  const std::string prefix = kPeftPrefix;
  return prefix + running_name(spec, name.starts_with(prefix) ? name.substr(prefix.size()) : name);
}

bool is_adapter(const StoredTensor& tensor) { return tensor.parameter->part == ModelPart::kAdapter; }

std::vector<float> read_values(const MappedFile& file, const SafetensorsEntry& entry) {
  if (entry.dtype != "F32") {
    throw Error(ErrorCode::kInvalidArgument,
                file.path() + ": " + entry.name + " is not F32: no training state");
  }
  std::vector<float> values((entry.end - entry.begin) / sizeof(float));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = load_as_f32(file.data() + entry.begin, DType::kF32, i);
  return values;
}

}  // namespace

void save_model_file(const TrainModel& model, const std::string& path, DType dtype, SaveForm form) {
  const ParameterSet& parameters = model.parameters();
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, tensor] : parameters.tensors()) {
    if (form == SaveForm::kAdapters) {
      // As PEFT does where the vocabulary was resized: without its rows the adapters would be of no use.
      const bool extended = model.is_extended(tensor.parameter);
      if (is_adapter(tensor) || extended) {
        tensors.push_back({peft_name(model.spec(), name), DType::kF32, tensor.shape,
                           [&] { return parameters.read(tensor, TensorField::kValue); }});
      } else if (tensor.parameter->trainable) {
        throw Error(ErrorCode::kInvalidArgument,
                    "adapters cannot be saved apart: " + name + " was trained too; save the merged weights");
      }
    } else if (!is_adapter(tensor)) {
      tensors.push_back({name, dtype, tensor.shape, [&] { return model.merged(tensor); }});
    }
  }
  if (tensors.empty()) throw Error(ErrorCode::kInvalidArgument, "there are no adapters to save");
  write_safetensors(path, tensors, {{"format", "pt"}});
}

void save_state_file(const ParameterSet& parameters, int64_t num_steps, const std::string& path) {
  std::vector<TensorToWrite> tensors;
  tensors.push_back({kSteps, DType::kF32, {1}, [=] { return std::vector<float>{float(num_steps)}; }});
  for (const auto& [name, tensor] : parameters.tensors()) {
    if (!tensor.parameter->trainable) continue;
    for (const auto& [prefix, field] : kFields) {
      tensors.push_back({prefix + name, DType::kF32, tensor.shape,
                         [&parameters, &tensor, field = field] { return parameters.read(tensor, field); }});
    }
  }
  write_safetensors(path, tensors, {});
}

int64_t load_state_file(ParameterSet& parameters, const std::string& path) {
  const MappedFile file(path);
  std::set<std::string> expected{kSteps};
  for (const auto& [name, tensor] : parameters.tensors()) {
    if (!tensor.parameter->trainable) continue;
    for (const auto& [prefix, field] : kFields) expected.insert(prefix + name);
  }
  const std::vector<SafetensorsEntry> entries = read_safetensors_header(file);
  for (const SafetensorsEntry& entry : entries) {
    const size_t slash = entry.name.find('/');
    const StoredTensor* tensor =
        slash == std::string::npos ? nullptr : parameters.find(entry.name.substr(slash + 1));
    const bool fits = entry.name == kSteps || (tensor && tensor->shape == entry.shape);
    if (expected.erase(entry.name) == 0 || !fits) {
      throw Error(ErrorCode::kInvalidArgument,
                  path + ": " + entry.name + " does not belong to this model with these trainable parts");
    }
  }
  if (!expected.empty()) {
    throw Error(ErrorCode::kInvalidArgument, path + ": " + *expected.begin() + " is missing");
  }
  int64_t num_steps = 0;
  for (const SafetensorsEntry& entry : entries) {
    const std::vector<float> values = read_values(file, entry);
    if (entry.name == kSteps) {
      num_steps = static_cast<int64_t>(values.at(0));
      continue;
    }
    for (const auto& [prefix, field] : kFields) {
      if (!entry.name.starts_with(prefix)) continue;
      parameters.write(*parameters.find(entry.name.substr(entry.name.find('/') + 1)), field, values.data());
    }
  }
  return num_steps;
}

}  // namespace mmprm
