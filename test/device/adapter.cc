#include "adapter.h"

#include "base/mapped_file.h"
#include "formats/json.h"
#include "formats/safetensors.h"
#include "include/engine/error.h"

namespace mmprm::golden {
namespace {

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// A pattern holds for modules whose names end so.
double alpha_of(const Json& config, const std::string& module) {
  if (const Json* patterns = config.find("alpha_pattern")) {
    for (const JsonMember& p : patterns->members()) {
      if (ends_with(module, "." + p.key)) return p.value.as_double();
    }
  }
  return config.find("lora_alpha")->as_double();
}

}  // namespace

AdapterSource read_adapter(const std::string& folder) {
  const std::string prefix = "base_model.model.", a = ".lora_A.weight", b = ".lora_B.weight",
                    whole = ".weight";
  const MappedFile text(folder + "/adapter_config.json");
  const Json config =
      Json::parse({reinterpret_cast<const char*>(text.data()), text.size()}, folder + "/adapter_config.json");
  AdapterSource source;
  source.file = folder + "/adapter_model.safetensors";
  const MappedFile file(source.file);
  for (const SafetensorsEntry& entry : read_safetensors_header(file)) {
    const std::string& name = entry.name;
    if (name.compare(0, prefix.size(), prefix) || !ends_with(name, whole))
      throw Error(ErrorCode::kInvalidModel, source.file + ": " + name + " belongs to no module");
    if (ends_with(name, b)) continue;  // with its A
    if (!ends_with(name, a)) {
      source.replaced.push_back({name.substr(prefix.size()), name});
      continue;
    }
    const std::string module = name.substr(prefix.size(), name.size() - prefix.size() - a.size());
    const int rank = int(entry.shape.at(0));
    source.low_rank.push_back(
        {module + whole, name, prefix + module + b, rank, alpha_of(config, module) / rank});
  }
  return source;
}

}  // namespace mmprm::golden
