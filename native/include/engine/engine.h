// The engine as the addon sees it: open a checkpoint folder, run token sequences through it, close.
//
// One runner thread per engine takes the jobs in order and uses the engine's pool; callers never wait. A job
// ends in exactly one call of its callback, on the runner thread, with a result or an exception.
#pragma once
#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "error.h"
#include "types.h"

namespace mmprm {

using CancelFlag = std::shared_ptr<std::atomic<bool>>;

struct EngineOptions {
  std::string model_folder;
  DType weights = DType::kBF16;  // F32 or BF16
  int num_threads = 0;           // 0: one per usable core
  std::string isa;               // empty: the best this processor has
};

struct DecoderInfo {
  int hidden = 0, intermediate = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
  int vocab = 0, embed_rows = 0, max_positions = 0, num_classes = 0;
};

struct VisionInfo {
  int hidden = 0, layers = 0, heads = 0, image_size = 0, patch_size = 0, tokens_per_tile = 0;
  int min_tiles = 0, max_tiles = 0;
  bool use_thumbnail = false, dynamic_tiles = false;
};

struct EngineInfo {
  std::string architecture, family, isa;
  DType weights = DType::kBF16;
  int num_threads = 0;
  uint64_t packed_bytes = 0;
  DecoderInfo decoder;
  bool has_vision = false;
  VisionInfo vision;
};

// Normalised pixels, [tiles, 3, image_size, image_size].
struct ImageTiles {
  std::vector<float> pixels;
  int num_tiles = 0;
};

enum class Output { kLogits, kPair, kClasses };

struct ForwardRequest {
  std::vector<std::vector<int32_t>> sequences;
  std::vector<std::vector<int32_t>> wanted;  // per sequence: rising positions whose outputs are returned
  std::vector<ImageTiles> images;            // shared by all sequences, in the order of their image tokens
  int32_t image_token = -1;
  Output output = Output::kLogits;
  int32_t pair[2] = {0, 0};  // vocabulary ids, for Output::kPair
  bool want_hidden = false;
};

struct ForwardResult {
  int width = 0;                           // V, 2 or the number of classes
  std::vector<std::vector<float>> values;  // per sequence: [wanted, width]
  std::vector<std::vector<float>> hidden;  // per sequence: [L + 1, wanted, C], when asked for
  int64_t num_tokens = 0;                  // tokens of all sequences
  int64_t num_computed_tokens = 0;         // rows of the packed tree
  double milliseconds = 0;                 // on the runner thread
};

struct VisionResult {
  std::vector<float> embeds;  // [tiles, tokens_per_tile, C of the language model]
  std::vector<float> hidden;  // [states, tiles, 1 + patches, C of vision], when asked for
  int num_states = 0;
};

class Engine {
 public:
  // Blocks; throws. on_progress(done, total) counts bytes of weights and is called on this thread.
  static std::shared_ptr<Engine> open(const EngineOptions& options,
                                      const std::function<void(uint64_t, uint64_t)>& on_progress,
                                      CancelFlag cancelled);
  ~Engine();

  const EngineInfo& info() const;

  template <typename Result>
  using Callback = std::function<void(std::exception_ptr error, Result result)>;

  // Both check the request before it is queued and throw kInvalidArgument; a closed engine throws kClosed.
  void forward(ForwardRequest request, CancelFlag cancelled, Callback<ForwardResult> callback);
  void embed_image(ImageTiles image, bool want_hidden, CancelFlag cancelled, Callback<VisionResult> callback);

  // Rejects what waits, stops what runs, frees the weights. Idempotent, callable from any thread.
  void close();
  bool closed() const;

 private:
  class Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

std::vector<std::string> supported_isa_names();  // rising
int default_num_threads();

}  // namespace mmprm
