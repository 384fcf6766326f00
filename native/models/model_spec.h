// What a checkpoint's config.json says about its model, in the engine's own words. Plain data.
// INVARIANT: every value was read from the config (or follows from it); see registry.h for who fills it in.
#pragma once
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace mmprm {

enum class RopeScaling { kNone, kLinear, kLlama3, kDynamic, kYarn };

struct RopeSpec {
  double theta = 0;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1;                  // linear, llama3, dynamic, yarn
  double low_freq_factor = 1;         // llama3
  double high_freq_factor = 1;        // llama3
  double original_max_positions = 0;  // llama3, yarn
  // yarn: frequencies that turn more often than beta_fast within the original positions stay, those that turn less often
  // than beta_slow are slowed
  double beta_fast = 32, beta_slow = 1;
  bool truncate = true;         // yarn: the ends of that ramp are whole frequencies
  double attention_factor = 1;  // yarn: of cosines and sines
  int sections[3] = {0, 0, 0};  // frequencies that turn by time, row and column; all 0: by one position
  bool interleaved = false;     // sections take turns, frequency by frequency

  bool by_sections() const { return sections[0] + sections[1] + sections[2] > 0; }
};

// kTwoLayer: Linear, ReLU, Linear to `num_classes` (Qwen2.5-Math-PRM). kLinear: one Linear to `num_classes` (value heads,
// token and sequence classification). kEnsemble: `num_classes` heads of three Linears each, ReLUs between (ActPRM).
enum class RewardHead { kNone, kTwoLayer, kLinear, kEnsemble };

struct DecoderSpec {
  int hidden_C = 0, intermediate_F = 0, layers_L = 0;
  int heads_H = 0, kv_heads_G = 0, head_dim_D = 0;
  int embed_rows = 0;  // rows of the embedding table
  int vocab_V = 0;     // rows of the output head; 0 with a reward head
  float rms_eps = 0;
  RopeSpec rope;
  int max_positions = 0;
  bool qkv_bias = false, o_bias = false, mlp_bias = false;
  bool qk_norm = false;  // RMS norm of every query and key head before it rotates
  bool tied_head = false;
  int sliding_window = 0;      // keys that a row of a sliding layer sees, its own among them
  std::vector<bool> slides_L;  // empty: no layer does
  RewardHead reward_head = RewardHead::kNone;
  int num_classes = 0;

  int window_of(int layer) const { return slides_L.empty() || !slides_L[layer] ? 0 : sliding_window; }
};

enum class NormKind { kLayer, kRms };
enum class PixelShuffle { kV1, kV2 };
// kTiles: square tiles of one size (vision.h). kPatches: whole pictures of any size (patch_vision.h).
enum class VisionKind { kTiles, kPatches };

struct VisionSpec {
  VisionKind kind = VisionKind::kTiles;
  int hidden_C = 0, intermediate_F = 0, layers_L = 0, heads_H = 0;
  int image_size = 0, patch_size = 0, channels = 3;  // pixels a side of a tile and of a patch
  int tower_image_size = 0;  // that the stored positions are of; for other tiles they are interpolated
  NormKind norm = NormKind::kLayer;
  float eps = 0, qk_norm_eps = 0;
  bool qkv_bias = false, qk_norm = false;
  int select_layer = -1;   // as in the config: -1 the last layer, otherwise an index into L + 1 hidden states
  int shuffle_factor = 2;  // 1 / downsample_ratio
  PixelShuffle shuffle = PixelShuffle::kV2;
  float projector_eps = 1e-5f;
  int min_tiles = 1, max_tiles = 1;
  bool use_thumbnail = false, dynamic_tiles = false;
  // kPatches
  int merge = 1,
      frames = 1;  // patches a side that become one row; equal pictures behind each other in a patch
  int min_pixels = 0, max_pixels = 0;  // of a resized picture
  double rope_theta = 0;
  bool gated_mlp = false;             // silu(gate)·up; otherwise gelu with a tanh
  int window = 0;                     // merge blocks a side that see each other; 0: the whole picture does
  std::vector<int> whole_layers;      // that see the whole picture all the same
  int table_side = 0;                 // of the learned positions; 0: there are none
  std::vector<int> deepstack_layers;  // after which features for the language model are taken, rising
  std::vector<int> deepstack_stored;  // at which place of the file's list the merger of each is

  // kPatches: whether a layer's patches see their whole picture, not their window alone.
  bool sees_all(int layer) const {
    return window == 0 || std::find(whole_layers.begin(), whole_layers.end(), layer) != whole_layers.end();
  }
  int patches_per_side() const { return image_size / patch_size; }
  int positions_per_side() const { return tower_image_size / patch_size; }  // of the stored table
  int tokens_per_tile() const {
    const int side = patches_per_side() / shuffle_factor;
    return side * side;
  }
};

struct ModelSpec {
  std::string architecture;  // as in the config
  std::string
      family;  // registry name of the language model: "internlm2", "qwen2", "qwen3", "llama", "mistral"
  DecoderSpec decoder;
  std::optional<VisionSpec> vision;
  int image_token_id = -1;     // -1: the config does not say; look it up in the tokenizer
  std::string system_message;  // empty: the config does not say
  std::string template_name;   // empty: the config does not say
};

}  // namespace mmprm
