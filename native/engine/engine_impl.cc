#include "engine/engine_impl.h"

#include <algorithm>

#include "backends/loaded_device.h"
#include "backends/open_device.h"
#include "engine/describe.h"

namespace mmprm {
namespace {

constexpr uint64_t kMaxPages = uint64_t{1} << 22;

std::exception_ptr closed_error() {
  return std::make_exception_ptr(Error(ErrorCode::kClosed, "the engine was closed before the call finished"));
}

int pages_in(uint64_t budget_bytes, uint64_t page_bytes) {
  const uint64_t pages = budget_bytes / page_bytes;
  if (pages >= 2) return static_cast<int>(std::min(pages, kMaxPages));
  throw Error(ErrorCode::kInvalidArgument, "kvCacheBytes of " + std::to_string(budget_bytes) +
                                               " holds nothing: a page of " + std::to_string(kPageTokens) +
                                               " tokens takes " + std::to_string(page_bytes) + " bytes");
}

std::unique_ptr<Device> open_for(const EngineOptions& o, std::string& why) {
  OpenDevice opened = open_device({o.device, o.device_library, o.isa, o.num_threads});
  why = std::move(opened.why);
  return std::move(opened.device);
}

Checkpoint open_checkpoint(const EngineOptions& o) {
  Checkpoint checkpoint = Checkpoint::open(o.model_folder);
  for (const AdapterSource& adapter : o.adapters) checkpoint.add_adapter(adapter);
  return checkpoint;
}

Pages open_pages(Device& device, const DecoderSpec& spec, DType dtype, uint64_t budget_bytes) {
  const PageShape shape{spec.layers_L, spec.kv_heads_G, spec.head_dim_D, dtype};
  return device.pages(shape, pages_in(budget_bytes, device.page_bytes(shape)));
}

// Rows of the packed tree back to their sequences.
ForwardResult unpack(const PackedTree& tree, const Decoder::Output& out, int num_states, size_t C) {
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

// Keys that mean image rows become their places in the slab.
void name_tokens(const Batcher::Images& images, PackedTree& tree) {
  std::map<uint32_t, const EmbeddedImage*> by_id;
  for (const auto& image : images) by_id[image->id] = image.get();
  for (TokenKey key : tree.keys_T) {
    const bool is_row = is_image(key);
    tree.plan.tokens_T.push_back(is_row ? -1 - by_id.at(image_of(key))->slab_row(image_row_of(key))
                                        : token_of(key));
  }
}

// Rows of a picture that lie together: a tile's, or as many as waste little.
int slab_block(const ModelSpec& spec) {
  constexpr int kPatchBlock = 16;
  if (!spec.vision) return 1;
  return spec.vision->kind == VisionKind::kTiles ? spec.vision->tokens_per_tile() : kPatchBlock;
}

int slab_cols(const ModelSpec& spec) {
  const size_t features = spec.vision ? spec.vision->deepstack_layers.size() : 0;
  return spec.decoder.hidden_C * static_cast<int>(1 + features);
}

}  // namespace

Engine::Impl::Impl(const EngineOptions& options, const std::function<void(uint64_t, uint64_t)>& on_progress,
                   const CancelFlag& cancelled)
    : device_(open_for(options, why_this_device_)),
      checkpoint_(open_checkpoint(options)),
      spec_(parse_model_spec(checkpoint_)),
      model_(pack_model(*device_, checkpoint_, spec_, build_weight_table(checkpoint_, spec_),
                        {options.weights, on_progress, cancelled.get()})),
      activations_(device_->info().activation(options.weights)),
      info_(describe(spec_, describe(device_->info(), why_this_device_), options.weights, model_.bytes)),
      decoder_(*device_, model_.decoder, activations_),
      pages_(open_pages(*device_, spec_.decoder, activations_, options.kv_cache_bytes)),
      image_rows_(*device_, slab_block(spec_), slab_cols(spec_)),
      images_(options.image_cache_bytes, image_rows_),
      batcher_(*device_, decoder_, spec_.decoder, pages_, image_rows_, images_.grids()),
      queue_(*this) {
  if (spec_.vision && spec_.vision->kind == VisionKind::kTiles)
    vision_.emplace(*device_, model_.vision, activations_);
  else if (spec_.vision)
    patch_vision_.emplace(*device_, model_.vision, activations_);
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

void Engine::Impl::check_stopped(const CancelFlag& cancelled) const {
  if (closing_) throw Error(ErrorCode::kClosed, "the engine was closed");
  if (cancelled && cancelled->load()) throw Error(ErrorCode::kAborted, "the call was aborted");
}

template <typename Result>
void Engine::Impl::enqueue(CancelFlag cancelled, Callback<Result> callback,
                           std::function<void(const Decoder::Stop&)> work) {
  const bool queued = queue_.push([this, cancelled, callback, work = std::move(work)](bool closed) {
    if (closed) return callback(closed_error(), {});
    try {
      check_stopped(cancelled);
      work([&] { check_stopped(cancelled); });
    } catch (...) {
      callback(closing_ ? closed_error() : std::current_exception(), {});
    }
    publish_stats();
  });
  if (!queued) throw Error(ErrorCode::kClosed, "the engine is closed");
}

void Engine::Impl::forward(ForwardRequest request, CancelFlag cancelled, Callback<ForwardResult> callback) {
  auto shared = std::make_shared<const ForwardRequest>(std::move(request));
  enqueue<ForwardResult>(cancelled, callback, [this, shared, cancelled, callback](const Decoder::Stop& stop) {
    const Batcher::Images images = embed_all(shared->images, stop);
    const bool scores = shared->output != Output::kLogits && !shared->want_hidden;
    if (scores && batcher_.try_add(shared, images, cancelled, callback)) return;
    callback(nullptr, forward_alone(*shared, images, stop));
  });
}

void Engine::Impl::embed_image(PicturePtr image, bool want_hidden, CancelFlag cancelled,
                               Callback<VisionResult> callback) {
  enqueue<VisionResult>(cancelled, callback, [this, image, want_hidden, callback](const Decoder::Stop& stop) {
    callback(nullptr, embed_alone(*image, want_hidden, stop));
  });
}

uint64_t Engine::Impl::generate(GenerateRequest request, CancelFlag cancelled,
                                std::function<void(std::vector<TokenEvent>)> on_tokens,
                                Callback<GenerateResult> callback) {
  const uint64_t handle = next_handle_++;
  const int positions_left = info_.decoder.max_positions - static_cast<int>(request.prompt.size());
  request.max_tokens = std::min(request.max_tokens, positions_left);
  auto shared = std::make_shared<GenerateRequest>(std::move(request));
  enqueue<GenerateResult>(cancelled, callback, [=, this](const Decoder::Stop& stop) {
    Batcher::Images images = embed_all(shared->images, stop);
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
  batcher_.step([this] { check_stopped(nullptr); });
  publish_stats();
  batcher_.deliver();
}

void Engine::Impl::closed_down() {
  batcher_.fail_all(closed_error());
  batcher_.deliver();
}

Batcher::Images Engine::Impl::embed_all(const std::vector<PicturePtr>& images, const Decoder::Stop& stop) {
  Batcher::Images embedded;
  for (const PicturePtr& image : images) {
    PictureGrid grid;
    if (patch_vision_) {
      const PatchGrid patches = patch_vision_->grid_of(*image);
      grid = {patches.rows / patches.merge, patches.columns / patches.merge};
    }
    embedded.push_back(images_.find_or_embed(*image, grid, [&](EmbeddedImage& fresh) {
      if (patch_vision_) {
        patch_vision_->forward(*image, stop, [&](const Tensor& rows) { fresh.add_rows(rows); });
      } else {
        vision_->forward(*image, stop, [&](int, const Tensor& rows) { fresh.add_rows(rows); });
      }
    }));
  }
  return embedded;
}

ForwardResult Engine::Impl::forward_alone(const ForwardRequest& request, const Batcher::Images& images,
                                          const Decoder::Stop& stop) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::vector<TokenKey>> keys;
  for (const std::vector<int32_t>& tokens : request.sequences)
    keys.push_back(to_keys(tokens, request.image_token, images));
  const PictureGrids* grids = spec_.decoder.rope.by_sections() ? &images_.grids() : nullptr;
  PackedTree tree = pack_sequences(keys, request.wanted, grids);
  name_tokens(images, tree);
  for (int32_t i = 0; i < tree.plan.num_outputs(); ++i) {
    if (request.output == Output::kPair) {
      tree.plan.pair_outputs.push_back({i, {request.pair[0], request.pair[1]}});
    } else {
      tree.plan.head_outputs.push_back(i);
    }
  }
  const Decoder::Output out = decoder_.forward(tree.plan, image_rows_.rows(), request.want_hidden, stop);
  ForwardResult result =
      unpack(tree, out, request.want_hidden ? spec_.decoder.layers_L + 1 : 0, spec_.decoder.hidden_C);
  for (const std::vector<int32_t>& tokens : request.sequences) result.num_tokens += tokens.size();
  result.num_computed_tokens = tree.plan.num_rows();
  result.milliseconds =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return result;
}

VisionResult Engine::Impl::embed_patches_alone(const Picture& image, bool want_hidden,
                                               const Decoder::Stop& stop) {
  VisionResult seen;
  seen.pixels = patch_vision_->pixels_of(image);
  const int C = patch_vision_->out_width(), features = patch_vision_->num_features();
  const size_t part = size_t(patch_vision_->grid_of(image).blocks()) * C;
  const PatchVision::OnRows on_rows = [&](const Tensor& rows) {
    seen.embeds.resize(part);
    device_->read(seen.embeds.data(), rows.columns(0, C));
    seen.deepstack.resize(features * part);
    for (int i = 0; i < features; ++i)
      device_->read(seen.deepstack.data() + i * part, rows.columns(int64_t(1 + i) * C, C));
  };
  if (want_hidden) {
    seen.hidden = patch_vision_->forward_hidden(image, stop, on_rows);
    seen.num_states = spec_.vision->layers_L + 1;
  } else {
    patch_vision_->forward(image, stop, on_rows);
  }
  return seen;
}

VisionResult Engine::Impl::embed_alone(const Picture& image, bool want_hidden, const Decoder::Stop& stop) {
  if (patch_vision_) return embed_patches_alone(image, want_hidden, stop);
  VisionResult seen;
  seen.pixels.resize(image.pixels.size());
  normalise_tiles(image, 0, image.num_tiles, seen.pixels.data());
  const size_t tile = size_t(image_rows_.rows_per_tile()) * vision_->out_width();
  seen.embeds.resize(image.num_tiles * tile);
  const Vision::OnRows on_rows = [&](int first_tile, const Tensor& rows) {
    device_->read(&seen.embeds[first_tile * tile], rows);
  };
  if (want_hidden) {
    seen.hidden = vision_->forward_hidden(image, stop, on_rows);
    seen.num_states = spec_.vision->layers_L + 1;
  } else {
    vision_->forward(image, stop, on_rows);
  }
  return seen;
}

std::vector<DeviceSummary> list_devices(const std::string& library) {
  std::vector<DeviceSummary> found;
  for (const DeviceInfo& info : loaded_devices(library)) found.push_back(describe(info, ""));
  return found;
}

}  // namespace mmprm
