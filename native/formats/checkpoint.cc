#include "formats/checkpoint.h"

#include <filesystem>
#include <set>

#include "base/float_types.h"
#include "formats/quantized.h"
#include "formats/safetensors.h"
#include "include/engine/error.h"

namespace mmprm {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::kInvalidModel, where + ": " + what);
}

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

Json read_json_object(const std::string& path) {
  const MappedFile file(path);
  Json json = Json::parse({reinterpret_cast<const char*>(file.data()), file.size()}, path);
  if (!json.is_object()) fail(path, std::string("must hold an object, not ") + json.kind_name());
  return json;
}

TensorView view_of(SafetensorsEntry&& entry, const MappedFile& file) {
  TensorView view;
  view.name = std::move(entry.name);
  view.dtype_name = std::move(entry.dtype);
  view.shape = std::move(entry.shape);
  view.data = file.data() + entry.begin;
  view.size_bytes = entry.end - entry.begin;
  view.file = file.path();
  if (view.dtype_name == "F32") {
    view.dtype = DType::kF32;
  } else if (view.dtype_name == "BF16") {
    view.dtype = DType::kBF16;
  } else if (view.dtype_name == "F16") {
    view.dtype = DType::kF16;
  } else {
    view.readable = false;
  }
  return view;
}

bool is_zero(const TensorView& view) {
  if (!view.readable) return false;
  for (size_t i = 0; i < view.size_bytes / dtype_bytes(view.dtype); ++i) {
    if (load_as_f32(view.data, view.dtype, i) != 0) return false;
  }
  return true;
}

// tensor name → file name, as an index lists them. File names stay inside the folder.
std::map<std::string, std::string> read_weight_map(const Json& index, const std::string& path) {
  const Json* map = index.find("weight_map");
  if (!map || !map->is_object()) fail(path, "\"weight_map\" must be an object of tensor and file names");
  std::map<std::string, std::string> files;
  for (const JsonMember& member : map->members()) {
    const std::string where = "\"weight_map\" entry \"" + member.key + "\"";
    if (!member.value.is_string())
      fail(path, where + " must be a file name, not " + member.value.kind_name());
    const std::string& name = member.value.as_string();
    const bool plain = !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
                       name.find('\0') == std::string::npos;
    if (!plain) fail(path, where + " must be a plain file name in the same folder, not \"" + name + "\"");
    files.emplace(member.key, name);
  }
  if (files.empty()) fail(path, "\"weight_map\" names no tensor");
  return files;
}

std::string list_of(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += "\n  " + line;
  return out;
}

// WHY two places: transformers 5 keeps these settings inside those of the whole processor, and prefers them there.
Checkpoint::Preprocessor read_preprocessor(const std::string& nested_path, const std::string& path) {
  if (exists(nested_path)) {
    const Json processor = read_json_object(nested_path);
    const Json* settings = processor.find("image_processor");
    if (settings && !settings->is_null()) {
      if (!settings->is_object()) fail(nested_path, "\"image_processor\" must be an object");
      return {*settings, nested_path, "image_processor."};
    }
  }
  if (!exists(path)) return {};
  return {read_json_object(path), path, ""};
}

}  // namespace

std::vector<TensorView> tensor_views(const MappedFile& file) {
  std::vector<TensorView> views;
  for (SafetensorsEntry& entry : read_safetensors_header(file))
    views.push_back(view_of(std::move(entry), file));
  return views;
}

Checkpoint Checkpoint::open_config(const std::string& folder) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    fail(folder, exists(folder) ? "is not a folder; a model is a folder with config.json and *.safetensors"
                                : "no such folder");
  }
  Checkpoint checkpoint;
  checkpoint.folder_ = folder;
  const auto path = [&](const char* name) { return (fs::path(folder) / name).string(); };
  if (!exists(path("config.json"))) fail(folder, "holds no config.json");
  checkpoint.config_ = read_json_object(path("config.json"));
  checkpoint.preprocessor_ =
      read_preprocessor(path("processor_config.json"), path("preprocessor_config.json"));
  return checkpoint;
}

Checkpoint Checkpoint::open(const std::string& folder) {
  Checkpoint checkpoint = open_config(folder);
  const auto path = [&](const char* name) { return (fs::path(folder) / name).string(); };
  const std::string single = path("model.safetensors"), index = path("model.safetensors.index.json");
  if (exists(single)) {
    checkpoint.add_file("model.safetensors", {});
  } else if (exists(index)) {
    checkpoint.add_shards(read_json_object(index), index);
  } else {
    const bool pickled = exists(path("pytorch_model.bin")) || exists(path("pytorch_model.bin.index.json"));
    fail(folder, std::string("holds neither model.safetensors nor model.safetensors.index.json") +
                     (pickled ? "; pytorch_model.bin is not read: save the model as safetensors" : ""));
  }
  checkpoint.derive_quantized();
  return checkpoint;
}

void Checkpoint::add_shards(const Json& index, const std::string& index_path) {
  const std::map<std::string, std::string> weight_map = read_weight_map(index, index_path);
  std::set<std::string> names;
  for (const auto& [tensor, file] : weight_map) names.insert(file);
  std::vector<std::string> absent;
  for (const std::string& name : names) {
    if (!exists((fs::path(folder_) / name).string())) absent.push_back(name);
  }
  if (!absent.empty()) fail(index_path, "these files are named but absent:" + list_of(absent));
  for (const std::string& name : names) add_file(name, weight_map);
  for (const auto& [tensor, file] : weight_map) {
    const auto found = tensors_.find(tensor);
    if (found == tensors_.end() || fs::path(found->second.file).filename() != file) {
      absent.push_back("\"" + tensor + "\" in " + file);
    }
  }
  if (!absent.empty()) fail(index_path, "these tensors are named but absent:" + list_of(absent));
}

// A tensor stored in two files counts where the index says, which must then say something.
void Checkpoint::add_file(const std::string& name, const std::map<std::string, std::string>& weight_map) {
  files_.push_back(std::make_unique<MappedFile>((fs::path(folder_) / name).string()));
  const MappedFile& file = *files_.back();
  for (TensorView& view : tensor_views(file)) {
    const auto listed = weight_map.find(view.name);
    if (listed != weight_map.end() && listed->second != name) continue;
    const auto [at, added] = tensors_.emplace(view.name, view);
    if (!added) fail(file.path(), "tensor \"" + view.name + "\" is also stored in " + at->second.file);
  }
}

const TensorView& Checkpoint::derive(TensorView view, DerivedTensor::Fill fill) {
  size_t count = 1;
  for (int64_t extent : view.shape) count *= static_cast<size_t>(extent);
  auto made = std::make_unique<DerivedTensor>(count, std::move(fill));
  view.dtype = DType::kF32;
  view.readable = true;
  view.data = made->data();
  view.size_bytes = made->size_bytes();
  derived_[made->data()] = std::move(made);
  return tensors_[view.name] = std::move(view);
}

void Checkpoint::derive_quantized() {
  const std::string config_path = (fs::path(folder_) / "config.json").string();
  for (QuantizedMatrix& matrix : find_quantized(config_, config_path, tensors_)) {
    for (const std::string& part : matrix.parts) tensors_.erase(part);
    const auto bias = tensors_.find(matrix.name.substr(0, matrix.name.rfind('.')) + ".bias");
    if (bias != tensors_.end()) bias->second.is_spare = is_zero(bias->second);
    TensorView view;
    view.name = matrix.name;
    view.dtype_name = matrix.dtype_name;
    view.shape = {matrix.rows_N, matrix.cols_K};
    view.file = matrix.file;
    derive(std::move(view), std::move(matrix.fill));
  }
}

DerivedTensor* Checkpoint::derived_at(const std::byte* data) const {
  const auto after = derived_.upper_bound(data);
  if (after == derived_.begin()) return nullptr;
  DerivedTensor* tensor = std::prev(after)->second.get();
  return data < tensor->data() + tensor->size_bytes() ? tensor : nullptr;
}

void Checkpoint::make(const std::byte* data, bool keep) const {
  if (DerivedTensor* tensor = derived_at(data)) tensor->make(keep);
}

void Checkpoint::make_all() const {
  for (const auto& [address, tensor] : derived_) tensor->make(true);
}

void Checkpoint::drop_resident(const std::byte* data, size_t bytes) const {
  if (bytes == 0) return;
  if (DerivedTensor* tensor = derived_at(data)) return tensor->drop();
  for (const auto& file : files_) {
    if (file->contains(data)) return file->drop(static_cast<size_t>(data - file->data()), bytes);
  }
  throw Error(ErrorCode::kInternal, "drop_resident: the address lies in no file of " + folder_);
}

}  // namespace mmprm
