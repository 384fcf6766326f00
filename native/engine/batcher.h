// Runs requests through the decoder together: the scheduler says what a step computes, this computes it,
// draws tokens, reads scores, and tells each request what became of it. Lives on the runner thread.
#pragma once
#include <chrono>
#include <map>
#include <memory>

#include "engine/image_cache.h"
#include "engine/scheduler.h"
#include "include/engine/engine.h"
#include "models/decoder.h"

namespace mmprm {

class Batcher {
 public:
  using Images = std::vector<std::shared_ptr<const EmbeddedImage>>;
  template <typename Result>
  using Callback = Engine::Callback<Result>;

  // `image_rows`: the slab that images lie in; `grids`: of all images.
  Batcher(Device& device, Decoder& decoder, const DecoderSpec& spec, const Pages& pages,
          const ImageSlab& image_rows, const PictureGrids& grids);
  ~Batcher();

  // Requests have been checked. `images` hold the rows of their image tokens, in order.
  void add(uint64_t handle, std::shared_ptr<const GenerateRequest> request, Images images,
           CancelFlag cancelled, std::function<void(std::vector<TokenEvent>)> on_tokens,
           Callback<GenerateResult> callback);
  // False, and nothing is kept, where the sequences need more pages than there are.
  bool try_add(std::shared_ptr<const ForwardRequest> request, Images images, CancelFlag cancelled,
               Callback<ForwardResult> callback);

  void set_paused(uint64_t handle, bool paused);
  void stop_sample(uint64_t handle, int sample);

  bool has_work() const;
  // check_closing: throws once the engine closes.
  void step(const Decoder::Stop& check_closing);
  void fail_all(std::exception_ptr error);

  // Calls the callbacks of what has ended. Apart from the rest, so that statistics are up to date before.
  void deliver();

  void fill(EngineStats& stats) const;

 private:
  struct Task;
  struct GenerateTask;
  struct ScoreTask;

  void drop_cancelled();
  void name_image_rows(Step& step) const;
  void name_readouts(Step& step) const;
  Decoder::Stop when_all_cancelled(const Step& step) const;
  Decoder::StepOutput compute(const Step& step, const Decoder::Stop& stop);
  void draw_tokens(const Step& step, const Tensor& logits);
  void read_scores(const Step& step, const Decoder::StepOutput& out);
  void fail(GroupId id, std::exception_ptr error);
  void collect_finished();

  Device& device_;
  Decoder& decoder_;
  const Pages pages_;
  const ImageSlab& image_rows_;
  PagePool pool_;
  PrefixCache cache_;
  Scheduler scheduler_;
  std::map<GroupId, std::unique_ptr<Task>> tasks_;
  std::vector<std::function<void()>> outbox_;
  std::vector<Draw> draws_;
  bool stalled_ = false;  // the last plan was empty, and nothing has changed since
  double model_ms_ = 0, sampling_ms_ = 0, scheduling_ms_ = 0;
};

// Keys of a token sequence whose image tokens take the images' rows in order.
std::vector<TokenKey> to_keys(const std::vector<int32_t>& tokens, int32_t image_token,
                              const Batcher::Images& images);

}  // namespace mmprm
