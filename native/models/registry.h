// Model families by the architecture name of config.json. A new family is one file, its
// declaration in family.h, and a line in each table of registry.cc that it belongs to.
#pragma once
#include "formats/checkpoint.h"
#include "models/model_spec.h"
#include "models/tensor_lookup.h"
#include "models/weight_table.h"

namespace mmprm {

// Throws kUnsupportedModel (naming the supported architectures) or kInvalidModel (naming the key).
ModelSpec parse_model_spec(const Checkpoint& checkpoint);

// The tensors that a model of this spec stores, under the names of its family; the checkpoint may hold none.
std::vector<WantedTensor> wanted_tensors(const Checkpoint& checkpoint, const ModelSpec& spec);

// The name that an adapter of a stored tensor goes by.
std::string running_name(const ModelSpec& spec, const std::string& stored);

}  // namespace mmprm
