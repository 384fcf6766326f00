#include "hashes.h"

#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "base/content_hash.h"
#include "include/engine/error.h"
#include "models/registry.h"
#include "models/rope_table.h"

namespace mmprm::golden {
namespace {

constexpr int kPositions = 1024;  // more than any golden sequence has

std::string key_of(const std::string& device_class, const std::string& weights, const std::string& model) {
  return device_class + " " + weights + " " + model;
}

}  // namespace

ModelHashes::ModelHashes(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw Error(ErrorCode::kInvalidModel, path + ": cannot be read");
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    std::istringstream in(line);
    std::string device_class, weights, model;
    ModelHash hash;
    if (!(in >> device_class >> std::hex >> hash.outcomes >> hash.angles >> weights >> model)) {
      throw Error(ErrorCode::kInvalidModel,
                  path + ":" + std::to_string(number) + ": no class, two hashes, weights and model");
    }
    hashes_[key_of(device_class, weights, model)] = hash;
  }
}

std::optional<ModelHash> ModelHashes::find(const std::string& device_class, const std::string& weights,
                                           const std::string& model) const {
  const auto found = hashes_.find(key_of(device_class, weights, model));
  return found == hashes_.end() ? std::nullopt : std::optional<ModelHash>(found->second);
}

std::string hex(uint64_t hash) {
  char text[17];
  std::snprintf(text, sizeof text, "%016" PRIx64, hash);
  return text;
}

std::string hash_line(const std::string& device_class, const std::string& weights, const std::string& model,
                      const ModelHash& hash) {
  return device_class + " " + hex(hash.outcomes) + " " + hex(hash.angles) + " " + weights + " " + model;
}

uint64_t hash_of_angles(const std::string& model_folder) {
  const ModelSpec spec = parse_model_spec(Checkpoint::open_config(model_folder));
  RopeTable table(spec.decoder.rope, spec.decoder.head_dim_D);
  table.grow(kPositions);
  return content_hash(table.data(), size_t(kPositions) * spec.decoder.head_dim_D * sizeof(float)).low;
}

}  // namespace mmprm::golden
