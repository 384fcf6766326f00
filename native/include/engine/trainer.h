// The trainer as the addon sees it: opens a checkpoint folder, adds up gradients of batches, steps, saves.
//
// All calls block and may throw; one at a time, from one thread. The addon gives each
// trainer a thread of its own.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine.h"
#include "error.h"
#include "types.h"

namespace mmprm {

// A reward head that is put in the vocabulary's place. Tensors: NAME.{weight,bias}, score.{0,2}.*, score.model.*.
struct HeadOptions {
  std::string kind;  // empty: as the checkpoint has it; linear, two-layer (a ReLU between) or ensemble
  std::string name;  // of the tensors of a linear one
  int outputs = 0;   // classes, or heads of an ensemble
  int width = 0;     // of the two inner layers of an ensemble's heads
  bool keeps_vocabulary =
      false;  // the stored vocabulary head stays beside it, unused, as value heads have it
};

struct TrainerOptions {
  std::string model_folder;
  std::string device = "cpu";    // as EngineOptions has it; one that does not train is refused
  std::string device_library;    // of every device but the CPU; empty: not installed
  DType compute = DType::kBF16;  // of products; weights, gradients and moments are F32 always
  int num_threads = 0;           // 0: one per usable core
  std::string isa;               // empty: the best this processor has
  bool train_vision = false, train_projector = true, train_language = true;
  bool recompute = false;  // activation checkpointing: layers run forward again before their backward
  std::vector<int32_t> new_tokens;  // ids whose rows become the mean of all others
  int lora_rank = 0;  // 0: none; otherwise only the adapters (and the parts named above) are trained
  double lora_alpha = 0;
  std::vector<std::string> lora_targets;  // last parts of modules' names
  uint64_t seed = 0;                      // of the adapters and of a new head
  HeadOptions head;                       // trained with whatever else is, and alone where nothing else is
};

struct TrainerInfo {
  std::string isa;
  DType compute = DType::kF32;  // what products are really computed in: F32 where bf16 is not in hardware
  int num_threads = 0;
  int64_t num_parameters = 0, num_trainable = 0;
  int vocab = 0, max_positions = 0;
  int tokens_per_tile = 0, image_size = 0;  // of tiles; 0 where there are none
};

// kPairs: samples 2i and 2i + 1 are two answers to one prompt, the one to be preferred first.
enum class TrainTask { kTokens, kMarkers, kPairs };

// Direct preference optimisation; the loss is written out in native/train/preference_loss.h.
struct Preference {
  double beta = 0.1;
  double label_smoothing = 0;  // share of the pairs that are taken to be the wrong way round, below a half
  double chosen_weight = 0;    // of the preferred answer's own mean cross-entropy
};

struct TrainSample {
  std::vector<int32_t> tokens;                // image tokens included
  std::vector<int32_t> images;                // indices into the batch, in the order of their tokens
  int32_t group = 0;                          // samples of one group share their common beginning
  std::vector<float> token_weights;           // kTokens, kPairs: one per token, 0: not predicted
  std::vector<int32_t> markers;               // kMarkers: rising positions
  std::vector<float> labels, marker_weights;  // kMarkers: in [0, 1]; one each per marker
  double reference = 0;   // kPairs: the answer's log-probability under the model that is departed from
  int32_t siblings = -1;  // kMarkers: samples of one number from 0 up are ranked against each other; -1: none
};

// Beside the value loss of siblings: weight · the mean over pairs whose labels differ by `margin` at least of
// -log sigmoid(z_i - z_j), z the logit of a score.
struct RankOptions {
  double weight = 0;  // 0: values alone
  double margin = 0;
};

struct TrainBatch {
  TrainTask task = TrainTask::kTokens;
  std::vector<TrainSample> samples;
  std::vector<PicturePtr> images;
  int32_t image_token = -1;
  int32_t pair[2] = {0, 0};  // kMarkers without a reward head: rows of the head for "right" and "wrong"
  Preference preference;     // kPairs
  RankOptions rank;          // kMarkers
};

struct BatchResult {
  double loss = 0, weight = 0;  // Σ w·loss and Σ w: divide for the mean; kPairs: w is 1 for each pair
  int64_t num_correct = 0, num_terms = 0;
  int64_t num_tokens = 0, num_rows = 0,
          num_image_rows = 0;                   // tokens of all samples; rows computed after packing
  std::vector<std::vector<float>> predictions;  // kMarkers: per sample and marker
  std::vector<double> logprobs;                 // kPairs: per sample, Σ token weight · log p
};

struct StepOptions {
  double learning_rate = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0;
  bool decay_vectors = true;  // false: no decay on biases, norms and other vectors
  double max_norm = 1;        // 0: no clipping
  double anchor = 0;          // an ensemble: strength of the pull of its head to how it began
};

enum class TensorField { kValue, kGradient, kM, kV };
enum class SaveForm { kFull, kAdapters };  // kFull: all weights, adapters merged into them

class Trainer {
 public:
  // Throws as Engine::open does; kInvalidArgument for options that do not fit the model; kNoDevice for a device that does
  // not train.
  static std::shared_ptr<Trainer> open(const TrainerOptions& options);
  ~Trainer();

  const TrainerInfo& info() const;

  // Adds scale · gradient of the batch's summed loss (Σ w·loss) to the gradients.
  BatchResult accumulate(const TrainBatch& batch, double scale, const std::atomic<bool>* cancelled);
  BatchResult evaluate(const TrainBatch& batch, const std::atomic<bool>* cancelled);
  // One AdamW step on what was accumulated, which is then cleared. Returns the global norm before clipping;
  // where it is not finite, no weight is changed.
  double step(const StepOptions& options);
  void clear_gradients();
  int64_t num_steps() const;

  std::vector<std::string> tensor_names() const;
  // In the order and under the name of the checkpoint; empty for fields that a frozen tensor lacks.
  std::vector<float> tensor(const std::string& name, TensorField field) const;
  void set_tensor(const std::string& name, const std::vector<float>& values);

  // Writes one safetensors file atomically: the old one stays in place until the new one is on the disk.
  void save_model(const std::string& path, DType dtype, SaveForm form);
  // F32 masters and moments, and the count of steps: enough to go on bit for bit.
  void save_state(const std::string& path) const;
  void load_state(const std::string& path);

 private:
  class Impl;
  explicit Trainer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Fills `path` (a safetensors file) with random weights for the config.json in `folder`: normal(0,
// initializer_range) for matrices, with residual projections divided by sqrt(2·layers); norms 1, biases 0.
// Equal seeds, equal bits.
void init_weights(const std::string& folder, const std::string& path, uint64_t seed, DType dtype);

}  // namespace mmprm
