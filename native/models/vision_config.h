// What vision families share. Of both InternVL layouts: extents, checks, and the tensors around the vision layers.
#pragma once
#include <string>

#include "models/config_reader.h"
#include "models/model_spec.h"
#include "models/tensor_lookup.h"
#include "models/weight_table.h"

namespace mmprm {

// Widths, layers, heads, norm, eps; refuses activations other than gelu (erf).
VisionSpec parse_vision_extents(const ConfigReader& vision_config);

// Reads downsample_ratio and checks that sizes, shuffle and the selected layer fit together.
// `select_key` is the key of `top` that `select_layer` came from.
void finish_vision(const ConfigReader& top, const std::string& select_key, VisionSpec& vision);

// Refuses settings of a preprocessor for what is always done, and in one way.
void check_picture_settings(const ConfigReader& processor);

// Reads how many pixels a whole picture may have, of the preprocessor's settings, and checks the rest of them against
// what `vision` says of patches. `size` counts pixels too, whatever its keys are called.
void parse_pixel_budget(const Checkpoint& checkpoint, VisionSpec& vision);

struct VisionFrameNames {
  std::string patch, class_embedding, positions, projector_norm, projector_fc1, projector_fc2;
};

// Everything but the layers. `decoder_C` is the width that the projector ends in.
VisionWeights vision_frame(TensorLookup& tensors, const VisionSpec& vision, int decoder_C,
                           const VisionFrameNames& names);

}  // namespace mmprm
