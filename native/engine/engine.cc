#include "include/engine/engine.h"

#include <chrono>
#include <optional>

#include "base/cpu_features.h"
#include "engine/describe.h"
#include "engine/job_queue.h"
#include "engine/prefix_tree.h"
#include "engine/request_check.h"
#include "models/decoder.h"
#include "models/registry.h"
#include "models/vision.h"

namespace mmprm {
namespace {

EngineInfo describe(const ModelSpec& spec, Isa isa, DType weights, int num_threads, size_t packed_bytes) {
  EngineInfo info;
  info.architecture = spec.architecture;
  info.family = spec.family;
  info.isa = std::string(isa_name(isa));
  info.weights = weights;
  info.num_threads = num_threads;
  info.packed_bytes = packed_bytes;
  info.decoder = describe(spec.decoder);
  info.has_vision = spec.vision.has_value();
  if (spec.vision) info.vision = describe(*spec.vision);
  return info;
}

std::exception_ptr closed_error() {
  return std::make_exception_ptr(Error(ErrorCode::kClosed, "the engine was closed before the call finished"));
}

}  // namespace

class Engine::Impl {
 public:
  Impl(const EngineOptions& options, const std::function<void(uint64_t, uint64_t)>& on_progress,
       const CancelFlag& cancelled)
      : kernels_(kernel_table(options.isa.empty() ? detect_isa() : parse_isa(options.isa))),
        pool_(options.num_threads > 0 ? options.num_threads : default_num_threads()),
        checkpoint_(Checkpoint::open(options.model_folder)),
        spec_(parse_model_spec(checkpoint_)),
        model_(pack_model(checkpoint_, spec_, build_weight_table(checkpoint_, spec_),
                          {options.weights, &kernels_, on_progress, cancelled.get()}, pool_)),
        info_(describe(spec_, kernels_.isa, options.weights, pool_.num_threads(), model_.packed_bytes)),
        decoder_(model_.decoder, activation_dtype(kernels_.isa, options.weights)) {
    if (spec_.vision) vision_.emplace(model_.vision, activation_dtype(kernels_.isa, options.weights));
  }

  const EngineInfo& info() const { return info_; }
  bool closed() const { return closing_.load(); }

  void close() {
    closing_ = true;
    queue_.close();
  }

  // Runs `work` on the queue's thread and turns whatever happens into one call of `callback`.
  template <typename Result, typename Work>
  void enqueue(CancelFlag cancelled, Callback<Result> callback, Work work) {
    const bool queued = queue_.push([this, cancelled, callback, work = std::move(work)](bool closed) {
      if (closed) return callback(closed_error(), {});
      Result result;
      try {
        if (cancelled && cancelled->load()) throw Error(ErrorCode::kAborted, "the call was aborted");
        result = work(KernelRunner{kernels_, pool_, cancelled.get(), &closing_});
      } catch (...) {
        return callback(closing_ ? closed_error() : std::current_exception(), {});
      }
      callback(nullptr, std::move(result));
    });
    if (!queued) throw Error(ErrorCode::kClosed, "the engine is closed");
  }

  ForwardResult forward(const ForwardRequest& request, const KernelRunner& run) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<float> image_rows;
    for (const ImageTiles& image : request.images) {
      const VisionOutput seen = vision_->forward(image.pixels.data(), image.num_tiles, false, run);
      image_rows.insert(image_rows.end(), seen.embeds.begin(), seen.embeds.end());
    }
    const int32_t image_token = request.images.empty() ? -1 : request.image_token;
    const PackedTree tree = pack_prefix_tree(request.sequences, request.wanted, image_token);
    const Readout readout{
        static_cast<ReadoutKind>(request.output), {request.pair[0], request.pair[1]}, request.want_hidden};
    const DecoderOutput out = decoder_.forward(tree.plan, image_rows.data(), readout, run);
    ForwardResult result = unpack(tree, out, request.want_hidden);
    for (const std::vector<int32_t>& tokens : request.sequences) result.num_tokens += tokens.size();
    result.num_computed_tokens = tree.plan.num_rows();
    result.milliseconds =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    return result;
  }

  VisionResult embed_image(const ImageTiles& image, bool want_hidden, const KernelRunner& run) {
    VisionOutput seen = vision_->forward(image.pixels.data(), image.num_tiles, want_hidden, run);
    const size_t state =
        size_t(image.num_tiles) * model_.vision.spec.hidden_C *
        (1 + size_t(model_.vision.spec.patches_per_side()) * model_.vision.spec.patches_per_side());
    const int num_states = static_cast<int>(seen.hidden.size() / state);
    return {std::move(seen.embeds), std::move(seen.hidden), num_states};
  }

 private:
  // Rows of the packed tree back to their sequences.
  ForwardResult unpack(const PackedTree& tree, const DecoderOutput& out, bool want_hidden) const {
    const size_t num_outputs = tree.plan.output_rows.size(), C = spec_.decoder.hidden_C;
    ForwardResult result;
    result.width = out.width;
    for (const std::vector<int32_t>& rows : tree.outputs) {
      std::vector<float>& values = result.values.emplace_back();
      for (int32_t row : rows) {
        values.insert(values.end(), out.values.begin() + size_t(row) * out.width,
                      out.values.begin() + size_t(row + 1) * out.width);
      }
      if (!want_hidden) continue;
      std::vector<float>& hidden = result.hidden.emplace_back();
      for (int state = 0; state <= spec_.decoder.layers_L; ++state) {
        for (int32_t row : rows) {
          const auto from = out.hidden.begin() + (state * num_outputs + row) * C;
          hidden.insert(hidden.end(), from, from + C);
        }
      }
    }
    return result;
  }

  const KernelTable& kernels_;
  ThreadPool pool_;
  Checkpoint checkpoint_;
  ModelSpec spec_;
  PackedModel model_;
  EngineInfo info_;
  Decoder decoder_;
  std::optional<Vision> vision_;
  std::atomic<bool> closing_{false};
  JobQueue queue_;  // last: its thread uses all of the above and is joined first
};

std::shared_ptr<Engine> Engine::open(const EngineOptions& options,
                                     const std::function<void(uint64_t, uint64_t)>& on_progress,
                                     CancelFlag cancelled) {
  if (options.weights == DType::kF16)
    throw Error(ErrorCode::kInvalidArgument, "weights are kept as f32 or bf16");
  return std::shared_ptr<Engine>(new Engine(std::make_unique<Impl>(options, on_progress, cancelled)));
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

const EngineInfo& Engine::info() const { return impl_->info(); }
void Engine::close() { impl_->close(); }
bool Engine::closed() const { return impl_->closed(); }

void Engine::forward(ForwardRequest request, CancelFlag cancelled, Callback<ForwardResult> callback) {
  check_forward(request, info());
  auto shared = std::make_shared<const ForwardRequest>(std::move(request));
  impl_->enqueue<ForwardResult>(
      cancelled, std::move(callback),
      [impl = impl_.get(), shared](const KernelRunner& run) { return impl->forward(*shared, run); });
}

void Engine::embed_image(ImageTiles image, bool want_hidden, CancelFlag cancelled,
                         Callback<VisionResult> callback) {
  check_image(image, info());
  auto shared = std::make_shared<const ImageTiles>(std::move(image));
  impl_->enqueue<VisionResult>(cancelled, std::move(callback),
                               [impl = impl_.get(), shared, want_hidden](const KernelRunner& run) {
                                 return impl->embed_image(*shared, want_hidden, run);
                               });
}

std::vector<std::string> supported_isa_names() {
  std::vector<std::string> names;
  for (Isa isa : supported_isas()) names.emplace_back(isa_name(isa));
  return names;
}

int default_num_threads() { return physical_threads(); }

}  // namespace mmprm
