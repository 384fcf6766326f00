// Model families by the architecture name of config.json. A new family is one file and one line in
// registry.cc.
#pragma once
#include "formats/checkpoint.h"
#include "models/model_spec.h"
#include "models/weight_table.h"

namespace mmprm {

// Throws kUnsupportedModel (naming the supported architectures) or kInvalidModel (naming the key).
ModelSpec parse_model_spec(const Checkpoint& checkpoint);

}  // namespace mmprm
