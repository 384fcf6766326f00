// The public face: checks what comes in, hands it to the runner thread.
#include "include/engine/engine.h"

#include "base/cpu_features.h"
#include "engine/engine_impl.h"
#include "engine/request_check.h"

namespace mmprm {

std::shared_ptr<Engine> Engine::open(const EngineOptions& options,
                                     const std::function<void(uint64_t, uint64_t)>& on_progress,
                                     CancelFlag cancelled) {
  if (options.weights == DType::kF16)
    throw Error(ErrorCode::kInvalidArgument, "weights are kept as f32, bf16, int8 or int4");
  return std::shared_ptr<Engine>(new Engine(std::make_unique<Impl>(options, on_progress, cancelled)));
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

const EngineInfo& Engine::info() const { return impl_->info(); }
EngineStats Engine::stats() const { return impl_->stats(); }
void Engine::close() { impl_->close(); }
void Engine::join() { impl_->join(); }
bool Engine::closed() const { return impl_->closed(); }

void Engine::forward(ForwardRequest request, CancelFlag cancelled, Callback<ForwardResult> callback) {
  check_forward(request, info());
  impl_->forward(std::move(request), std::move(cancelled), std::move(callback));
}

void Engine::embed_image(PicturePtr image, bool want_hidden, CancelFlag cancelled,
                         Callback<VisionResult> callback) {
  check_image(image.get(), info());
  impl_->embed_image(std::move(image), want_hidden, std::move(cancelled), std::move(callback));
}

uint64_t Engine::generate(GenerateRequest request, CancelFlag cancelled,
                          std::function<void(std::vector<TokenEvent>)> on_tokens,
                          Callback<GenerateResult> callback) {
  check_generate(request, info(), impl_->num_pages());
  return impl_->generate(std::move(request), std::move(cancelled), std::move(on_tokens), std::move(callback));
}

void Engine::set_paused(uint64_t handle, bool paused) {
  impl_->control([=](Batcher& batcher) { batcher.set_paused(handle, paused); });
}

void Engine::stop_sample(uint64_t handle, int sample) {
  impl_->control([=](Batcher& batcher) { batcher.stop_sample(handle, sample); });
}

void Engine::wake() {
  impl_->control([](Batcher&) {});
}

std::vector<std::string> supported_isa_names() {
  std::vector<std::string> names;
  for (Isa isa : supported_isas()) names.emplace_back(isa_name(isa));
  return names;
}

int default_num_threads() { return physical_threads(); }

}  // namespace mmprm
