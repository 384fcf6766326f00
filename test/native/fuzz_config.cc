// Model specs and weight tables from mutants of the golden configs, beside weights
// that may be another model's.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "fuzz.h"
#include "models/registry.h"

namespace mmprm {
namespace {

namespace fs = std::filesystem;

struct Golden {
  fs::path folder;
  std::string config;
};

// Run from the repository's root.
const std::vector<Golden>& goldens() {
  static const std::vector<Golden> all = [] {
    std::vector<Golden> found;
    for (const auto& entry : fs::directory_iterator("test/golden/models")) {
      std::ifstream in(entry.path() / "config.json", std::ios::binary);
      if (!in) continue;  // an adapter
      found.push_back({fs::absolute(entry.path()), std::string(std::istreambuf_iterator<char>(in), {})});
    }
    std::sort(found.begin(), found.end(),
              [](const Golden& a, const Golden& b) { return a.folder < b.folder; });
    return found;
  }();
  return all;
}

// A checkpoint folder with this config and all else of `model`.
void stage(const fs::path& folder, const std::string& config, const fs::path& model) {
  fs::remove_all(folder);
  fs::create_directory(folder);
  for (const auto& entry : fs::directory_iterator(model)) {
    const std::string name = entry.path().filename();
    if (name != "config.json" && !entry.is_directory()) fs::create_symlink(entry.path(), folder / name);
  }
  std::ofstream(folder / "config.json", std::ios::binary) << config;
}

bool read_model(const std::string& config, Mutator& random) {
  static const fs::path folder = fs::temp_directory_path() / ("fuzz-config-" + std::to_string(getpid()));
  // The weights that belong to the config, where it is an unchanged one.
  const auto own =
      std::find_if(goldens().begin(), goldens().end(), [&](const Golden& g) { return g.config == config; });
  stage(folder, config, (own != goldens().end() ? *own : goldens()[random.below(goldens().size())]).folder);
  try {
    const Checkpoint checkpoint = Checkpoint::open(folder);
    const ModelSpec spec = parse_model_spec(checkpoint);
    build_weight_table(checkpoint, spec);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUnsupportedModel) throw;
    return false;
  }
  return true;
}

}  // namespace
}  // namespace mmprm

int main(int argc, char** argv) {
  mmprm::FuzzTarget target{"fuzz_config", {}, {}, mmprm::read_model};
  for (const auto& golden : mmprm::goldens()) target.samples.push_back(golden.config);
  target.tokens = {"-1",   "0",         "1e999", "9223372036854775807",  "2147483648", "null", "[]",
                   "true", "\"llama\"", "{}",    "\"rope_type\": \"x\"", "1000003",    "0.5",  "\"\""};
  return mmprm::run_fuzzer(target, argc, argv);
}
