// What every golden model gives on a class of devices, recorded on the emulator: model_hashes.txt, lines of
//
//   class  hash of all outcomes  hash of the rotary angles  weights  model
//
// WHY the angles apart: they are the host's own cosines, whose last bit differs between systems; where they differ,
// the outcomes may too, and say nothing of the card.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace mmprm::golden {

struct ModelHash {
  uint64_t outcomes = 0, angles = 0;
};

class ModelHashes {
 public:
  // Throws kInvalidModel naming the file and the line.
  explicit ModelHashes(const std::string& path);
  std::optional<ModelHash> find(const std::string& device_class, const std::string& weights,
                                const std::string& model) const;

 private:
  std::map<std::string, ModelHash> hashes_;
};

std::string hash_line(const std::string& device_class, const std::string& weights, const std::string& model,
                      const ModelHash& hash);
std::string hex(uint64_t hash);

// Of the angles of the first positions, as this machine computes them.
uint64_t hash_of_angles(const std::string& model_folder);

}  // namespace mmprm::golden
