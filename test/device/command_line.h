// Options of programs that run on a device without Node: pairs of --name and value.
#pragma once
#include <filesystem>
#include <map>
#include <string>

#include "include/engine/error.h"

namespace mmprm {

// Throws kInvalidArgument for a name that is not known and for one without a value.
inline void read_options(int argc, char** argv, const std::map<std::string, std::string*>& known) {
  for (int i = 1; i < argc; i += 2) {
    const auto found = known.find(argv[i]);
    if (found == known.end() || i + 1 == argc) {
      std::string names;
      for (const auto& [name, value] : known) names += (names.empty() ? "" : ", ") + name;
      throw Error(ErrorCode::kInvalidArgument,
                  std::string("unknown option or no value: ") + argv[i] + "; known: " + names);
    }
    *found->second = argv[i + 1];
  }
}

// Of that device, as it was built beside the program; empty for the CPU, which needs none.
inline std::string library_beside_program(const std::string& device) {
  if (device == "cpu") return "";
  const char* name = device == "emulated" ? "mm_prm_cuda_emulated.so" : "mm_prm_cuda.so";
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

}  // namespace mmprm
