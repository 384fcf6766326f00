// A model folder as it lies on a hub: config.json and one or many safetensors files, mapped read-only. What is stored
// quantised, or changed by an adapter, is there as if it were stored in F32.
#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "formats/derived_tensor.h"
#include "formats/json.h"
#include "include/engine/adapter.h"
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
  std::string file;       // for messages
  bool is_spare = false;  // may stay unused: a bias of zeros that quantising tools add
  bool is_added = false;  // an adapter's: a head of its own for a base that stores none
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

  // Changes tensors as the adapter says, after those before it. A target is meant by its name, or by the end of
  // it where only one tensor ends so (the same model has several layouts). Throws kInvalidModel naming file and
  // tensor where the base has no such tensor or one of another shape: an adapter of another base. Heads may be
  // added: the vocabulary's to a base that is tied to its embedding, and classifiers.
  void add_adapter(const AdapterSource& adapter);
  // Rows of the vocabulary that an adapter brings in place of the config's; 0: none does.
  int64_t adapter_vocab() const { return adapter_vocab_; }

  // To be called before elements of a matrix are read; `data` is any address in it. A matrix that no file holds is
  // computed, `keep` for good, else until it is dropped. Not from several threads.
  void make(const std::byte* data, bool keep) const;
  void make_all() const;  // for good

  // Lets go of the resident pages of [data, data + bytes): they come back from disk, or are to be made again.
  // `data` must lie in one of the tensors.
  void drop_resident(const std::byte* data, size_t bytes) const;

 private:
  void add_file(const std::string& name, const std::map<std::string, std::string>& weight_map);
  void add_shards(const Json& index, const std::string& index_path);
  void derive_quantized();
  void untie(const std::string& target);
  const TensorView& derive(TensorView view, DerivedTensor::Fill fill);
  DerivedTensor* derived_at(const std::byte* data) const;

  std::string folder_;
  Json config_;
  Preprocessor preprocessor_;
  std::vector<std::unique_ptr<MappedFile>> files_;
  std::map<std::string, TensorView> tensors_;
  std::map<const std::byte*, std::unique_ptr<DerivedTensor>> derived_;  // by their addresses
  int64_t adapter_vocab_ = 0;
};

// What one safetensors file holds, in the order of its bytes.
std::vector<TensorView> tensor_views(const MappedFile& file);

}  // namespace mmprm
