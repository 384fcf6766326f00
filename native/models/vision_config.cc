#include "models/vision_config.h"

#include <cmath>

#include "device/pages.h"

namespace mmprm {
namespace {

constexpr int kMaxSide = 256;  // patches
constexpr int kBicubic = 3;    // Pillow's number

}  // namespace

VisionSpec parse_vision_extents(const ConfigReader& config) {
  VisionSpec vision;
  vision.hidden_C = config.integer("hidden_size", 1, 1 << 16);
  vision.intermediate_F = config.integer("intermediate_size", 1, 1 << 20);
  vision.layers_L = config.integer("num_hidden_layers", 1, 1024);
  vision.heads_H = config.integer("num_attention_heads", 1, 1 << 12);
  if (vision.hidden_C % vision.heads_H != 0) {
    config.invalid("hidden_size",
                   "must be a multiple of num_attention_heads, " + std::to_string(vision.heads_H));
  }
  if (const int head_dim = vision.hidden_C / vision.heads_H; head_dim % 2 != 0 || head_dim > kMaxHeadDim) {
    config.unsupported("hidden_size", "gives heads of size " + std::to_string(head_dim) +
                                          "; even sizes up to " + std::to_string(kMaxHeadDim) +
                                          " are supported");
  }
  vision.channels = config.integer("num_channels", 1, 1024);
  if (vision.channels != 3) config.unsupported("num_channels", "is not 3: only RGB images are supported");
  vision.eps = static_cast<float>(config.number("layer_norm_eps", 0, 1));
  if (const std::string act = config.text("hidden_act"); act != "gelu") {
    config.unsupported("hidden_act", "is \"" + act + "\"; gelu is supported");
  }
  const std::string norm = config.text("norm_type");
  if (norm != "layer_norm" && norm != "rms_norm") {
    config.unsupported("norm_type", "is \"" + norm + "\"; layer_norm and rms_norm are supported");
  }
  vision.norm = norm == "layer_norm" ? NormKind::kLayer : NormKind::kRms;
  return vision;
}

void finish_vision(const ConfigReader& top, const std::string& select_key, VisionSpec& vision) {
  const double factor = 1 / top.number("downsample_ratio", 1.0 / 64, 1);
  vision.shuffle_factor = static_cast<int>(std::lround(factor));
  if (std::abs(factor - vision.shuffle_factor) > 1e-9) {
    top.unsupported("downsample_ratio", "must be one over a whole number");
  }
  if (const int stored = vision.positions_per_side(); stored < 1 || stored > kMaxSide) {
    top.invalid("vision_config.image_size", "gives " + std::to_string(stored) + " patches a side; 1 to " +
                                                std::to_string(kMaxSide) + " are supported");
  }
  const int side = vision.patches_per_side();
  if (side < 1 || side > kMaxSide || side % vision.shuffle_factor != 0) {
    top.invalid("downsample_ratio", "does not fit " + std::to_string(side) + " patches a side (image size " +
                                        std::to_string(vision.image_size) + ", patch size " +
                                        std::to_string(vision.patch_size) + ")");
  }
  if (vision.select_layer < -(vision.layers_L + 1) || vision.select_layer > vision.layers_L) {
    top.invalid(select_key, "is " + std::to_string(vision.select_layer) + ", but there are " +
                                std::to_string(vision.layers_L + 1) + " hidden states");
  }
}

void check_picture_settings(const ConfigReader& processor) {
  for (const char* step : {"do_resize", "do_rescale", "do_normalize"}) {
    if (!processor.flag_or(step, true))
      processor.unsupported(step, "is false; pictures are resized, divided by 255 and normalised");
  }
  if (processor.has("rescale_factor") && std::abs(255 * processor.number("rescale_factor", 0, 1) - 1) > 1e-6)
    processor.unsupported("rescale_factor", "is not one over 255");
  if (processor.integer_or("resample", kBicubic, 0, 64) != kBicubic)
    processor.unsupported("resample", "is not 3: pictures are resized by bicubic interpolation");
}

void parse_pixel_budget(const Checkpoint& checkpoint, VisionSpec& vision) {
  const Checkpoint::Preprocessor& file = checkpoint.preprocessor();
  if (file.settings.is_null()) {
    throw Error(ErrorCode::kInvalidModel, checkpoint.folder() +
                                              ": preprocessor_config.json is missing: it says how many "
                                              "pixels a picture may have");
  }
  const ConfigReader processor(file.settings, file.path, file.prefix);
  check_picture_settings(processor);
  const auto pixels = [&](const char* key, const char* in_size) {
    if (processor.has(key)) return processor.integer(key, 1, 1 << 30);
    return processor.child("size").integer(in_size, 1, 1 << 30);
  };
  vision.min_pixels = pixels("min_pixels", "shortest_edge");
  vision.max_pixels = pixels("max_pixels", "longest_edge");
  const int factor = vision.patch_size * vision.merge;
  const std::string key = processor.has("max_pixels") ? "max_pixels" : "size";
  if (vision.max_pixels < vision.min_pixels)
    processor.invalid(key, "allows fewer pixels at most than it asks for at least");
  if (vision.max_pixels < factor * factor) {
    processor.invalid(key, "allows " + std::to_string(vision.max_pixels) +
                               " pixels; one row of the language model takes " +
                               std::to_string(factor * factor));
  }
  const auto agrees = [&](const char* name, int value) {
    if (processor.integer_or(name, value, 1, 1 << 10) != value)
      processor.invalid(name, "is not the " + std::to_string(value) + " of config.json");
  };
  agrees("patch_size", vision.patch_size);
  agrees("merge_size", vision.merge);
  agrees("temporal_patch_size", vision.frames);
}

VisionWeights vision_frame(TensorLookup& tensors, const VisionSpec& vision, int decoder_C,
                           const VisionFrameNames& names) {
  const int C = vision.hidden_C, patch = vision.patch_size, side = vision.positions_per_side();
  const int wide = C * vision.shuffle_factor * vision.shuffle_factor;
  VisionWeights out;
  out.projector_norm.eps = vision.projector_eps;
  out.patch_embedding.weight.cols = vision.channels * patch * patch;
  if (const TensorView* view = tensors.want(names.patch + ".weight", {C, vision.channels, patch, patch})) {
    append_rows(out.patch_embedding.weight, *view, 0, C);
  }
  out.patch_embedding.bias = tensors.vector(names.patch + ".bias", C);
  out.class_embedding = tensors.vector(names.class_embedding, C);
  out.position_embedding = tensors.matrix(names.positions, 1 + side * side, C);
  out.projector_norm.weight = tensors.vector(names.projector_norm + ".weight", wide);
  out.projector_norm.bias = tensors.vector(names.projector_norm + ".bias", wide);
  out.projector_fc1.weight = tensors.matrix(names.projector_fc1 + ".weight", decoder_C, wide);
  out.projector_fc1.bias = tensors.vector(names.projector_fc1 + ".bias", decoder_C);
  out.projector_fc2.weight = tensors.matrix(names.projector_fc2 + ".weight", decoder_C, decoder_C);
  out.projector_fc2.bias = tensors.vector(names.projector_fc2 + ".bias", decoder_C);
  return out;
}

}  // namespace mmprm
