// What an open engine owns, and its runner thread: single passes run alone, requests in steps between them.
#pragma once
#include <mutex>
#include <optional>

#include "engine/batcher.h"
#include "engine/job_queue.h"
#include "engine/prefix_tree.h"
#include "models/patch_vision.h"
#include "models/registry.h"
#include "models/vision.h"

namespace mmprm {

class Engine::Impl : private BackgroundWork {
 public:
  Impl(const EngineOptions& options, const std::function<void(uint64_t, uint64_t)>& on_progress,
       const CancelFlag& cancelled);

  const EngineInfo& info() const { return info_; }
  int num_pages() const { return pages_.count; }
  bool closed() const { return closing_.load(); }
  void close();
  void join() { queue_.join(); }
  EngineStats stats() const;

  // All return at once; their callbacks are called on the runner thread.
  void forward(ForwardRequest request, CancelFlag cancelled, Callback<ForwardResult> callback);
  void embed_image(PicturePtr image, bool want_hidden, CancelFlag cancelled, Callback<VisionResult> callback);
  uint64_t generate(GenerateRequest request, CancelFlag cancelled,
                    std::function<void(std::vector<TokenEvent>)> on_tokens,
                    Callback<GenerateResult> callback);
  void control(std::function<void(Batcher&)> change);  // nothing once the engine has closed

 private:
  bool has_work() const override { return batcher_.has_work(); }
  void step() override;
  void closed_down() override;

  // Runs `work` on the queue's thread. Where it throws, or the queue has closed, the callback is told.
  template <typename Result>
  void enqueue(CancelFlag cancelled, Callback<Result> callback,
               std::function<void(const Decoder::Stop&)> work);
  void check_stopped(const CancelFlag& cancelled) const;

  Batcher::Images embed_all(const std::vector<PicturePtr>& images, const Decoder::Stop& stop);
  ForwardResult forward_alone(const ForwardRequest& request, const Batcher::Images& images,
                              const Decoder::Stop& stop);
  VisionResult embed_patches_alone(const Picture& image, bool want_hidden, const Decoder::Stop& stop);
  VisionResult embed_alone(const Picture& image, bool want_hidden, const Decoder::Stop& stop);
  void publish_stats();

  std::string why_this_device_;
  std::unique_ptr<Device> device_;
  Checkpoint checkpoint_;
  ModelSpec spec_;
  PackedModel model_;
  DType activations_;
  EngineInfo info_;
  Decoder decoder_;
  std::optional<Vision> vision_;
  std::optional<PatchVision> patch_vision_;  // one of the two, or neither
  Pages pages_;
  ImageSlab image_rows_;
  ImageCache images_;
  Batcher batcher_;  // its requests hold images
  std::atomic<uint64_t> next_handle_{1};
  std::atomic<bool> closing_{false};
  mutable std::mutex stats_mutex_;
  EngineStats stats_;  // as of the last step
  JobQueue queue_;     // last: its thread uses all of the above and is joined first
};

}  // namespace mmprm
