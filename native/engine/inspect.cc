#include "include/engine/inspect.h"

#include <filesystem>
#include <map>

#include "engine/describe.h"
#include "models/registry.h"
#include "models/tensor_lookup.h"

namespace mmprm {
namespace {

uint64_t num_elements(const TensorView& view) {
  uint64_t count = 1;
  for (int64_t extent : view.shape) count *= uint64_t(extent);
  return count;
}

void count_tensors(const Checkpoint& checkpoint, ModelSummary& summary) {
  std::map<std::string, StoredType> types;
  std::map<std::string, uint64_t> files;
  for (const auto& [name, view] : checkpoint.tensors()) {
    files.try_emplace(view.file, std::filesystem::file_size(view.file));
    if (is_leftover(name)) continue;
    StoredType& type = types[view.dtype_name];
    type.dtype = view.dtype_name;
    type.tensors += 1;
    type.parameters += num_elements(view);
    summary.tensors += 1;
    summary.parameters += num_elements(view);
  }
  for (const auto& [dtype, type] : types) summary.dtypes.push_back(type);
  for (const auto& [path, bytes] : files) {
    summary.files.push_back({std::filesystem::path(path).filename().string(), bytes});
    summary.bytes += bytes;
  }
}

}  // namespace

ModelSummary inspect_model(const std::string& folder) {
  const Checkpoint checkpoint = Checkpoint::open(folder);
  const ModelSpec spec = parse_model_spec(checkpoint);
  build_weight_table(checkpoint, spec);
  ModelSummary summary;
  summary.architecture = spec.architecture;
  summary.family = spec.family;
  summary.tied_head = spec.decoder.tied_head;
  summary.decoder = describe(spec.decoder);
  summary.has_vision = spec.vision.has_value();
  if (spec.vision) summary.vision = describe(*spec.vision);
  count_tensors(checkpoint, summary);
  return summary;
}

}  // namespace mmprm
