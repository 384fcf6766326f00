// Checkpoints of the golden set for tests that need any text model to run: another
// set may be put in its place.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace mmprm {

// The first model that sees pictures, in the order of names.
inline std::string vision_model() {
  namespace fs = std::filesystem;
  const char* root = std::getenv("MM_PRM_GOLDEN");
  const fs::path models = fs::path(root ? root : "test/golden") / "models";
  std::vector<std::string> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(models)) {
    std::ifstream file(entry.path() / "config.json");
    const std::string config{std::istreambuf_iterator<char>(file), {}};
    if (config.find("\"vision_config\"") != std::string::npos) found.push_back(entry.path().string());
  }
  if (found.empty()) throw std::runtime_error(models.string() + ": no model with a vision part");
  std::sort(found.begin(), found.end());
  return found.front();
}

// The `index`-th text model with a vocabulary head, in the order of names; counted round where there are
// fewer. Run from the repository's root.
inline std::string text_model(size_t index = 0) {
  namespace fs = std::filesystem;
  const char* root = std::getenv("MM_PRM_GOLDEN");
  const fs::path models = fs::path(root ? root : "test/golden") / "models";
  std::vector<std::string> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(models)) {
    std::ifstream file(entry.path() / "config.json");
    const std::string config{std::istreambuf_iterator<char>(file), {}};
    const bool has_vision = config.find("\"vision_config\"") != std::string::npos;
    if (!has_vision && config.find("ForCausalLM\"") != std::string::npos)
      found.push_back(entry.path().string());
  }
  if (found.empty()) throw std::runtime_error(models.string() + ": no text model");
  std::sort(found.begin(), found.end());
  return found[index % found.size()];
}

}  // namespace mmprm
