#include "engine/engine_impl.h"

#include <algorithm>

#include "engine/describe.h"

namespace mmprm {
namespace {

constexpr uint64_t kMaxPages = uint64_t{1} << 22;

std::exception_ptr closed_error() {
  return std::make_exception_ptr(Error(ErrorCode::kClosed, "the engine was closed before the call finished"));
}

int pages_in(uint64_t budget_bytes, size_t page_bytes) {
  const uint64_t pages = budget_bytes / page_bytes;
  if (pages >= 2) return static_cast<int>(std::min(pages, kMaxPages));
  throw Error(ErrorCode::kInvalidArgument, "kvCacheBytes of " + std::to_string(budget_bytes) +
                                               " holds nothing: a page of " + std::to_string(kPageTokens) +
                                               " tokens takes " + std::to_string(page_bytes) + " bytes");
}

// Rows of the packed tree back to their sequences.
ForwardResult unpack(const PackedTree& tree, const DecoderOutput& out, int num_states, size_t C) {
  const size_t num_outputs = tree.plan.output_rows.size();
  ForwardResult result;
  result.width = out.width;
  for (const std::vector<int32_t>& rows : tree.outputs) {
    std::vector<float>& values = result.values.emplace_back();
    for (int32_t row : rows) {
      values.insert(values.end(), out.values.begin() + size_t(row) * out.width,
                    out.values.begin() + size_t(row + 1) * out.width);
    }
    if (num_states == 0) continue;
    std::vector<float>& hidden = result.hidden.emplace_back();
    for (int state = 0; state < num_states; ++state) {
      for (int32_t row : rows) {
        const auto from = out.hidden.begin() + (state * num_outputs + row) * C;
        hidden.insert(hidden.end(), from, from + C);
      }
    }
  }
  return result;
}

}  // namespace

Engine::Impl::Impl(const EngineOptions& options, const std::function<void(uint64_t, uint64_t)>& on_progress,
                   const CancelFlag& cancelled)
    : kernels_(kernel_table(options.isa.empty() ? detect_isa() : parse_isa(options.isa))),
      pool_(options.num_threads > 0 ? options.num_threads : default_num_threads()),
      checkpoint_(Checkpoint::open(options.model_folder)),
      spec_(parse_model_spec(checkpoint_)),
      model_(pack_model(checkpoint_, spec_, build_weight_table(checkpoint_, spec_),
                        {options.weights, &kernels_, on_progress, cancelled.get()}, pool_)),
      activations_(activation_dtype(kernels_.isa, options.weights)),
      info_(describe(spec_, kernels_.isa, options.weights, pool_.num_threads(), model_.packed_bytes)),
      decoder_(model_.decoder, activations_),
      num_pages_(pages_in(options.kv_cache_bytes, Batcher::page_bytes(spec_.decoder, activations_))),
      batcher_(decoder_, spec_.decoder, activations_, num_pages_),
      images_(options.image_cache_bytes),
      queue_(*this) {
  if (spec_.vision) vision_.emplace(model_.vision, activations_);
  publish_stats();
}

void Engine::Impl::close() {
  closing_ = true;
  queue_.close();
}

EngineStats Engine::Impl::stats() const {
  const std::lock_guard lock(stats_mutex_);
  return stats_;
}

void Engine::Impl::publish_stats() {
  const std::lock_guard lock(stats_mutex_);
  batcher_.fill(stats_);
  stats_.num_images_embedded = images_.num_misses();
  stats_.num_images_reused = images_.num_hits();
  stats_.image_bytes = static_cast<int64_t>(images_.num_bytes());
}

KernelRunner Engine::Impl::runner(const CancelFlag& cancelled) const {
  return {kernels_, pool_, &prepared_rows_, cancelled.get(), &closing_, {}};
}

template <typename Result>
void Engine::Impl::enqueue(CancelFlag cancelled, Callback<Result> callback,
                           std::function<void(const KernelRunner&)> work) {
  const bool queued = queue_.push([this, cancelled, callback, work = std::move(work)](bool closed) {
    if (closed) return callback(closed_error(), {});
    try {
      if (cancelled && cancelled->load()) throw Error(ErrorCode::kAborted, "the call was aborted");
      work(runner(cancelled));
    } catch (...) {
      callback(closing_ ? closed_error() : std::current_exception(), {});
    }
    publish_stats();
  });
  if (!queued) throw Error(ErrorCode::kClosed, "the engine is closed");
}

void Engine::Impl::forward(ForwardRequest request, CancelFlag cancelled, Callback<ForwardResult> callback) {
  auto shared = std::make_shared<const ForwardRequest>(std::move(request));
  enqueue<ForwardResult>(cancelled, callback, [this, shared, cancelled, callback](const KernelRunner& run) {
    const Batcher::Images images = embed_all(shared->images, run);
    const bool scores = shared->output != Output::kLogits && !shared->want_hidden;
    if (scores && batcher_.try_add(shared, images, cancelled, callback)) return;
    callback(nullptr, forward_alone(*shared, images, run));
  });
}

void Engine::Impl::embed_image(ImageTiles image, bool want_hidden, CancelFlag cancelled,
                               Callback<VisionResult> callback) {
  auto shared = std::make_shared<const ImageTiles>(std::move(image));
  enqueue<VisionResult>(cancelled, callback, [this, shared, want_hidden, callback](const KernelRunner& run) {
    callback(nullptr, embed_alone(*shared, want_hidden, run));
  });
}

uint64_t Engine::Impl::generate(GenerateRequest request, CancelFlag cancelled,
                                std::function<void(std::vector<TokenEvent>)> on_tokens,
                                Callback<GenerateResult> callback) {
  const uint64_t handle = next_handle_++;
  const int positions_left = info_.decoder.max_positions - static_cast<int>(request.prompt.size());
  request.max_tokens = std::min(request.max_tokens, positions_left);
  auto shared = std::make_shared<GenerateRequest>(std::move(request));
  enqueue<GenerateResult>(cancelled, callback, [=, this](const KernelRunner& run) {
    Batcher::Images images = embed_all(shared->images, run);
    shared->images.clear();  // their rows are all that is needed from here on
    batcher_.add(handle, shared, std::move(images), cancelled, on_tokens, callback);
  });
  return handle;
}

void Engine::Impl::control(std::function<void(Batcher&)> change) {
  queue_.push([this, change = std::move(change)](bool closed) {
    if (closed) return;
    change(batcher_);
    publish_stats();
    batcher_.deliver();
  });
}

void Engine::Impl::step() {
  batcher_.step(runner(nullptr));
  publish_stats();
  batcher_.deliver();
}

void Engine::Impl::closed_down() {
  batcher_.fail_all(closed_error());
  batcher_.deliver();
}

Batcher::Images Engine::Impl::embed_all(const std::vector<ImageTiles>& images, const KernelRunner& run) {
  Batcher::Images embedded;
  for (const ImageTiles& image : images) {
    embedded.push_back(images_.find_or_embed(
        image, [&] { return vision_->forward(image.pixels.data(), image.num_tiles, false, run).embeds; }));
  }
  return embedded;
}

ForwardResult Engine::Impl::forward_alone(const ForwardRequest& request, const Batcher::Images& images,
                                          const KernelRunner& run) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<float> image_rows;
  for (const auto& image : images)
    image_rows.insert(image_rows.end(), image->rows.begin(), image->rows.end());
  const PackedTree tree =
      pack_prefix_tree(request.sequences, request.wanted, images.empty() ? -1 : request.image_token);
  const Readout readout{
      static_cast<ReadoutKind>(request.output), {request.pair[0], request.pair[1]}, request.want_hidden};
  const DecoderOutput out = decoder_.forward(tree.plan, image_rows.data(), readout, run);
  ForwardResult result =
      unpack(tree, out, request.want_hidden ? spec_.decoder.layers_L + 1 : 0, spec_.decoder.hidden_C);
  for (const std::vector<int32_t>& tokens : request.sequences) result.num_tokens += tokens.size();
  result.num_computed_tokens = tree.plan.num_rows();
  result.milliseconds =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return result;
}

VisionResult Engine::Impl::embed_alone(const ImageTiles& image, bool want_hidden, const KernelRunner& run) {
  VisionOutput seen = vision_->forward(image.pixels.data(), image.num_tiles, want_hidden, run);
  const VisionSpec& v = model_.vision.spec;
  const size_t state =
      size_t(image.num_tiles) * v.hidden_C * (1 + size_t(v.patches_per_side()) * v.patches_per_side());
  const int num_states = static_cast<int>(seen.hidden.size() / state);
  return {std::move(seen.embeds), std::move(seen.hidden), num_states};
}

}  // namespace mmprm
