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

#include "adapter.h"
#include "error.h"
#include "picture.h"
#include "sampling.h"
#include "types.h"

namespace mmprm {

using CancelFlag = std::shared_ptr<std::atomic<bool>>;

struct EngineOptions {
  std::string model_folder;
  DType weights = DType::kBF16;                 // F32 or BF16
  int num_threads = 0;                          // 0: one per usable core
  std::string isa;                              // empty: the best this processor has
  uint64_t kv_cache_bytes = uint64_t{1} << 30;  // keys and values of all sequences; not allocated at once
  uint64_t image_cache_bytes = uint64_t{256} << 20;
  std::string device = "cpu";  // "cpu", "cuda", "cuda:N", "auto": the first card that opens, else the CPU
  std::string device_library;  // of every device but the CPU; empty: not installed
  std::vector<AdapterSource> adapters;  // merged into the weights, one after the other
};

// What computes, as it calls itself.
struct DeviceSummary {
  std::string kind, name, result_class;  // bits are equal within one class
  uint64_t total_bytes = 0;
  std::string why;  // it was this one
};

struct DecoderInfo {
  int hidden = 0, intermediate = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
  int vocab = 0, embed_rows = 0, max_positions = 0, num_classes = 0;
  std::string head;  // "vocabulary", "classes", "value" (one number), "ensemble" (num_classes heads)
  int sliding_window = 0, sliding_layers = 0;  // keys that a row sees in so many layers; 0: all in all
};

struct VisionInfo {
  int hidden = 0, layers = 0, heads = 0, image_size = 0, patch_size = 0, tokens_per_tile = 0;
  int min_tiles = 0, max_tiles = 0;
  bool use_thumbnail = false, dynamic_tiles = false;
  // Of towers that read whole pictures in patches; merge is 0 for others.
  int merge = 0, min_pixels = 0, max_pixels = 0;
};

struct EngineInfo {
  std::string architecture, family;
  DType weights = DType::kBF16;
  DeviceSummary device;
  uint64_t weight_bytes = 0;  // of packed matrices
  DecoderInfo decoder;
  bool has_vision = false;
  VisionInfo vision;
};

enum class Output { kLogits, kPair, kClasses };

struct ForwardRequest {
  std::vector<std::vector<int32_t>> sequences;
  std::vector<std::vector<int32_t>> wanted;  // per sequence: rising positions whose outputs are returned
  std::vector<PicturePtr> images;            // shared by all sequences, in the order of their image tokens
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

struct GenerateRequest {
  std::vector<int32_t> prompt;
  std::vector<PicturePtr> images;  // in the order of their image tokens
  int32_t image_token = -1;
  int num_samples = 1;
  uint32_t first_sample = 0;  // sample i draws from stream first_sample + i of the seed
  int max_tokens = 1;         // fewer where the model's positions end
  SamplingParams sampling;
  uint64_t seed = 0;
  std::vector<int32_t> stop_ids;  // end a sample; part of its tokens
  bool want_logprobs = false;
  bool stream = false;  // tell tokens as they come
};

enum class FinishReason : uint8_t { kNone, kStop, kLength };

struct TokenEvent {
  int32_t sample = 0, token = 0;
  FinishReason finish = FinishReason::kNone;
};

struct SampleResult {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;                // of the unfiltered distribution, when asked for
  FinishReason finish = FinishReason::kNone;  // kNone: stopped from outside
};

struct GenerateResult {
  std::vector<SampleResult> samples;
  int64_t num_prompt_tokens = 0, num_reused_tokens = 0, num_prefilled_tokens = 0;
  double milliseconds = 0, first_token_milliseconds = 0;  // since the engine took the request up
};

// Counters since the engine was opened, and what it holds now.
struct EngineStats {
  int64_t num_requests_waiting = 0, num_requests_running = 0, num_samples_running = 0;
  int64_t num_pages = 0, num_used_pages = 0, num_cached_pages = 0;  // used ones include cached ones
  int64_t tokens_per_page = 0, bytes_per_page = 0;
  int64_t num_steps = 0, num_decoded_tokens = 0, num_prefilled_tokens = 0, num_reused_tokens = 0;
  int64_t num_preemptions = 0, num_evicted_pages = 0;
  int64_t num_images_embedded = 0, num_images_reused = 0, image_bytes = 0;
  double model_ms = 0, sampling_ms = 0, scheduling_ms = 0;
};

struct VisionResult {
  std::vector<float>
      pixels;  // [tiles, 3, height, width], normalised; of patches: [patches, 3 · frames · patch²]
  std::vector<float> embeds;     // [tiles, tokens_per_tile, C of the language model]; of patches: [rows, C]
  std::vector<float> deepstack;  // of patches, where there are features: [features, rows, C]
  std::vector<float> hidden;     // [states, tiles, 1 + patches, C of vision], when asked for; of patches:
                                 // [states, patches, C]
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

  // All check the request before it is queued and throw kInvalidArgument; a closed engine throws kClosed.
  // Scores (pairs and classes without hidden states) are computed in the engine's steps beside generation and
  // reuse what is cached; other passes run alone, between two steps.
  void forward(ForwardRequest request, CancelFlag cancelled, Callback<ForwardResult> callback);
  void embed_image(PicturePtr image, bool want_hidden, CancelFlag cancelled, Callback<VisionResult> callback);

  // Starts n samples of one prompt. on_tokens, with request.stream only, is told the new tokens of each step.
  // Returns a handle for the two calls below, which do nothing once the request has ended.
  uint64_t generate(GenerateRequest request, CancelFlag cancelled,
                    std::function<void(std::vector<TokenEvent>)> on_tokens,
                    Callback<GenerateResult> callback);
  void set_paused(uint64_t handle, bool paused);  // keeps its tokens, computes nothing
  void stop_sample(uint64_t handle, int sample);  // ended by the caller: a stop string was found
  void wake();                                    // look at cancel flags now

  EngineStats stats() const;

  // Rejects what waits, stops what runs, frees the weights. Idempotent, callable from any thread.
  void close();
  // After close(): waits for the call in work. WHY: a callback may hold the engine for a moment, and the
  // engine's own thread must not be the one that frees it. From one thread at a time, not from a callback.
  void join();
  bool closed() const;

 private:
  class Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The devices of a library. Throws kNoDevice with the reason where it cannot be used on this machine.
std::vector<DeviceSummary> list_devices(const std::string& library);

std::vector<std::string> supported_isa_names();  // rising
int default_num_threads();

}  // namespace mmprm
