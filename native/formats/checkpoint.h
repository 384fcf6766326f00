// A model folder as it lies on a hub: config.json and one or many safetensors files, mapped read-only.
#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "formats/json.h"
#include "include/engine/types.h"

namespace mmprm {

struct TensorView {
  std::string name;
  std::string dtype_name;  // as stored
  bool readable = true;    // false: stored in a dtype the engine cannot read, `dtype` says nothing
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  const std::byte* data = nullptr;  // into the mapped file; perhaps unaligned
  size_t size_bytes = 0;
  std::string file;  // for messages
};

class Checkpoint {
 public:
  // Reads model.safetensors, else the shards named by model.safetensors.index.json. Throws kInvalidModel
  // naming file and key; files and tensors that an index names in vain are all listed.
  static Checkpoint open(const std::string& folder);
  // The configs alone, without any weights.
  static Checkpoint open_config(const std::string& folder);

  const std::string& folder() const { return folder_; }
  const Json& config() const { return config_; }  // an object
  // The image processor's settings: of processor_config.json, or a preprocessor_config.json of their own.
  struct Preprocessor {
    Json settings;             // an object; null where the folder has none
    std::string path, prefix;  // where it stands, as ConfigReader names it
  };
  const Preprocessor& preprocessor() const { return preprocessor_; }
  const std::map<std::string, TensorView>& tensors() const { return tensors_; }

  // Lets go of the resident pages of [data, data + bytes): they come back from disk if touched again.
  // `data` must lie in one of the files.
  void drop_resident(const std::byte* data, size_t bytes) const;

 private:
  void add_file(const std::string& name, const std::map<std::string, std::string>& weight_map);
  void add_shards(const Json& index, const std::string& index_path);

  std::string folder_;
  Json config_;
  Preprocessor preprocessor_;
  std::vector<std::unique_ptr<MappedFile>> files_;
  std::map<std::string, TensorView> tensors_;
};

}  // namespace mmprm
