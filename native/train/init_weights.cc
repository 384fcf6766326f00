// Random weights for a config.json without weights. Which tensors there are, and their shapes, is asked of
// the model family itself, by looking up every tensor in an empty checkpoint.
#include <cmath>
#include <numbers>

#include "base/philox.h"
#include "formats/safetensors_writer.h"
#include "include/engine/trainer.h"
#include "models/registry.h"

namespace mmprm {
namespace {

constexpr double kInitializerRange = 0.02;  // of every published config of these families

bool ends_with_any(const std::string& name, std::initializer_list<const char*> tails) {
  for (const char* tail : tails) {
    if (name.ends_with(tail)) return true;
  }
  return false;
}

// Projections back into the residual stream.
bool is_residual_projection(const std::string& name) {
  return ends_with_any(name, {"attention.wo.weight", "feed_forward.w2.weight", "self_attn.o_proj.weight",
                              "mlp.down_proj.weight", "attn.proj.weight", "projection_layer.weight",
                              "mlp.fc2.weight", "mlp.linear_fc2.weight"});
}

bool is_embedding_vector(const std::string& name) {
  return ends_with_any(name, {".class_embedding", ".cls_token"});
}

// With the leading ones that the family's own code gives it; the engine reads it without them too.
std::vector<int64_t> published_shape(const WantedTensor& tensor) {
  const bool positions = ends_with_any(tensor.name, {".position_embedding", ".position_embeddings"});
  std::vector<int64_t> shape = tensor.shape;
  if (is_embedding_vector(tensor.name) || positions) shape.insert(shape.begin(), 3 - shape.size(), 1);
  return shape;
}

int num_extents(const std::vector<int64_t>& shape) {
  int count = 0;
  for (int64_t extent : shape) count += extent > 1;
  return count;
}

// Box-Muller on one Philox block per pair of values.
std::vector<float> normal_values(size_t size, double deviation, uint64_t seed, uint32_t stream) {
  std::vector<float> values(size);
  for (size_t i = 0; i < size; i += 2) {
    const uint64_t pair = i / 2;
    const PhiloxCounter block =
        philox4x32({uint32_t(pair), uint32_t(pair >> 32), stream, 1}, philox_key(seed));
    const double u = (block[0] + 0.5) * 0x1p-32, angle = 2 * std::numbers::pi * (block[1] * 0x1p-32);
    const double radius = deviation * std::sqrt(-2 * std::log(u));
    values[i] = float(radius * std::cos(angle));
    if (i + 1 < size) values[i + 1] = float(radius * std::sin(angle));
  }
  return values;
}

std::vector<float> initial_values(const WantedTensor& tensor, const ModelSpec& spec, uint64_t seed,
                                  uint32_t stream) {
  size_t size = 1;
  for (int64_t extent : tensor.shape) size *= size_t(extent);
  const bool in_vision = spec.vision && (tensor.name.find("vision_") != std::string::npos ||
                                         tensor.name.find("visual.") != std::string::npos);
  if (num_extents(tensor.shape) < 2 && !is_embedding_vector(tensor.name)) {
    return std::vector<float>(size, tensor.name.ends_with(".bias") ? 0.0f : 1.0f);
  }
  const int layers = in_vision ? spec.vision->layers_L : spec.decoder.layers_L;
  const double shrink = is_residual_projection(tensor.name) ? 1 / std::sqrt(2.0 * layers) : 1;
  return normal_values(size, kInitializerRange * shrink, seed, stream);
}

}  // namespace

void init_weights(const std::string& folder, const std::string& path, uint64_t seed, DType dtype) {
  const Checkpoint checkpoint = Checkpoint::open_config(folder);
  const ModelSpec spec = parse_model_spec(checkpoint);
  std::vector<TensorToWrite> tensors;
  for (const WantedTensor& wanted : wanted_tensors(checkpoint, spec)) {
    const auto stream = static_cast<uint32_t>(tensors.size());
    tensors.push_back({wanted.name, dtype, published_shape(wanted),
                       [=, &spec] { return initial_values(wanted, spec, seed, stream); }});
  }
  write_safetensors(path, tensors, {{"format", "pt"}});
}

}  // namespace mmprm
