// A model spec in the words that leave the native floor.
#pragma once
#include <algorithm>
#include <string>

#include "device/device.h"
#include "include/engine/engine.h"
#include "models/model_spec.h"

namespace mmprm {

inline const char* head_kind(const DecoderSpec& d) {
  if (d.reward_head == RewardHead::kNone) return "vocabulary";
  if (d.reward_head == RewardHead::kEnsemble) return "ensemble";
  return d.num_classes == 1 ? "value" : "classes";
}

inline DecoderInfo describe(const DecoderSpec& d) {
  DecoderInfo info{d.hidden_C,   d.intermediate_F, d.layers_L,   d.heads_H,       d.kv_heads_G,
                   d.head_dim_D, d.vocab_V,        d.embed_rows, d.max_positions, d.num_classes};
  info.head = head_kind(d);
  info.sliding_window = d.sliding_window;
  info.sliding_layers = static_cast<int>(std::count(d.slides_L.begin(), d.slides_L.end(), true));
  return info;
}

inline VisionInfo describe(const VisionSpec& v) {
  VisionInfo info{v.hidden_C,          v.layers_L,  v.heads_H,   v.image_size,    v.patch_size,
                  v.tokens_per_tile(), v.min_tiles, v.max_tiles, v.use_thumbnail, v.dynamic_tiles};
  if (v.kind == VisionKind::kPatches) {
    info.merge = v.merge;
    info.min_pixels = v.min_pixels;
    info.max_pixels = v.max_pixels;
  }
  return info;
}

inline DeviceSummary describe(const DeviceInfo& d, const std::string& why) {
  return {d.kind, d.name, d.result_class, d.total_bytes, why};
}

inline EngineInfo describe(const ModelSpec& spec, DeviceSummary device, DType weights,
                           uint64_t weight_bytes) {
  EngineInfo info;
  info.architecture = spec.architecture;
  info.family = spec.family;
  info.weights = weights;
  info.device = std::move(device);
  info.weight_bytes = weight_bytes;
  info.decoder = describe(spec.decoder);
  info.has_vision = spec.vision.has_value();
  if (spec.vision) info.vision = describe(*spec.vision);
  return info;
}

}  // namespace mmprm
