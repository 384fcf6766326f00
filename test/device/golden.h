// The cases of one golden model (test/golden/README.md) as the engine takes them: ids and pictures, no tokenizer. Kinds
// that compute nothing on a device are left out.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "include/engine/engine.h"

namespace mmprm::golden {

enum class Kind { kLogits, kVision, kScore, kGreedy };

struct Case {
  std::string name;  // "3 scoreSolutions"
  Kind kind;
  std::vector<std::vector<int32_t>> sequences;
  std::vector<std::vector<int32_t>> wanted;  // kLogits, kScore: positions that are read out
  std::vector<PicturePtr> pictures;
  int32_t image_token = -1;
  bool has_pair =
      false;  // kScore: two words of the vocabulary, else the classes or the value of a reward head
  int32_t pair[2] = {0, 0};
  int max_tokens = 0;  // kGreedy
  std::vector<int32_t> stop_ids;

  // What a trusted implementation gave.
  std::map<std::string, std::vector<float>> tensors;
  std::vector<std::vector<float>> scores;
  std::vector<int32_t> tokens;
};

struct Model {
  std::string name, folder;  // folder: of the weights, the base's where this is an adapter
  std::vector<AdapterSource> adapters;
  std::vector<Case> cases;
};

// Throws kInvalidModel naming the file for what is not of that form, an unknown kind of case among it.
Model read_model(const std::string& folder);

}  // namespace mmprm::golden
