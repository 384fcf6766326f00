// A golden adapter (LoRA as peft stores it) as the engine takes it.
#pragma once
#include <string>

#include "include/engine/adapter.h"

namespace mmprm::golden {

// Throws kInvalidModel naming the file for a tensor that belongs to no low-rank pair and to no whole module.
AdapterSource read_adapter(const std::string& folder);

}  // namespace mmprm::golden
