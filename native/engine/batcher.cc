#include "engine/batcher.h"

#include <algorithm>
#include <utility>

#include "engine/batcher_task.h"

namespace mmprm {
namespace {

std::exception_ptr aborted_error() {
  return std::make_exception_ptr(Error(ErrorCode::kAborted, "the call was aborted"));
}

std::exception_ptr no_finite_logit() {
  return std::make_exception_ptr(Error(ErrorCode::kInvalidModel, "the model's logits are not finite"));
}

ReadoutId readout_id(const ForwardRequest& request) {
  const bool pair = request.output == Output::kPair;
  return {request.output, {pair ? request.pair[0] : 0, pair ? request.pair[1] : 0}};
}

// Rows that a step computes of prompts: so many that matrices are used well, so few that a step ends soon.
SchedulerOptions scheduler_options(const DecoderSpec& s, const PictureGrids& grids) {
  constexpr double kFlopsAlone = 1e12, kFlopsBesideDecode = 2.5e11;
  const double attention = double(s.hidden_C) * s.head_dim_D * (2 * s.heads_H + 2 * s.kv_heads_G);
  const double flops_per_row = 2 * s.layers_L * (attention + 3.0 * s.hidden_C * s.intermediate_F);
  SchedulerOptions options;
  options.prefill_rows = static_cast<int>(std::clamp(kFlopsAlone / flops_per_row, 256.0, 2048.0));
  options.prefill_rows_beside_decode =
      static_cast<int>(std::clamp(kFlopsBesideDecode / flops_per_row, 64.0, 256.0));
  if (s.rope.by_sections()) options.grids = &grids;
  return options;
}

}  // namespace

std::vector<TokenKey> to_keys(const std::vector<int32_t>& tokens, int32_t image_token,
                              const Batcher::Images& images) {
  std::vector<TokenKey> keys;
  size_t image = 0;
  uint32_t row = 0;
  for (int32_t token : tokens) {
    if (images.empty() || token != image_token) {
      keys.push_back(text_key(token));
      continue;
    }
    keys.push_back(image_key(images.at(image)->id, row));
    if (++row == images[image]->num_rows()) {
      ++image;
      row = 0;
    }
  }
  return keys;
}

Batcher::Batcher(Device& device, Decoder& decoder, const DecoderSpec& spec, const Pages& pages,
                 const ImageSlab& image_rows, const PictureGrids& grids)
    : device_(device),
      decoder_(decoder),
      pages_(pages),
      image_rows_(image_rows),
      pool_(pages.count),
      cache_(pool_),
      scheduler_(pool_, cache_, scheduler_options(spec, grids)) {}

Batcher::~Batcher() = default;

void Batcher::add(uint64_t handle, std::shared_ptr<const GenerateRequest> request, Images images,
                  CancelFlag cancelled, std::function<void(std::vector<TokenEvent>)> on_tokens,
                  Callback<GenerateResult> callback) {
  const GenerateRequest& r = *request;
  const GroupId id = scheduler_.add(
      GenerateGroup{to_keys(r.prompt, r.image_token, images), r.num_samples, r.max_tokens, r.stop_ids});
  tasks_[id] = std::make_unique<GenerateTask>(handle, std::move(request), std::move(cancelled),
                                              std::move(images), std::move(on_tokens), std::move(callback));
  stalled_ = false;
}

bool Batcher::try_add(std::shared_ptr<const ForwardRequest> request, Images images, CancelFlag cancelled,
                      Callback<ForwardResult> callback) {
  const ForwardRequest& r = *request;
  ScoreGroup group;
  for (const std::vector<int32_t>& tokens : r.sequences) {
    group.sequences.push_back(to_keys(tokens, r.image_token, images));
  }
  group.wanted = r.wanted;
  group.readout = readout_id(r);
  if (!scheduler_.fits(group)) return false;
  const int width = r.output == Output::kPair ? 2 : decoder_.head_width();
  const GroupId id = scheduler_.add(std::move(group));
  tasks_[id] = std::make_unique<ScoreTask>(std::move(request), width, std::move(cancelled), std::move(images),
                                           std::move(callback));
  stalled_ = false;
  return true;
}

void Batcher::set_paused(uint64_t handle, bool paused) {
  for (auto& [id, task] : tasks_) {
    const auto* generate = dynamic_cast<GenerateTask*>(task.get());
    if (generate && generate->handle == handle) scheduler_.set_paused(id, paused);
  }
  stalled_ = false;
}

void Batcher::stop_sample(uint64_t handle, int sample) {
  for (auto& [id, task] : tasks_) {
    const auto* generate = dynamic_cast<GenerateTask*>(task.get());
    if (generate && generate->handle == handle) scheduler_.stop_sample(id, sample);
  }
  stalled_ = false;
  collect_finished();
}

bool Batcher::has_work() const {
  const auto cancelled = [](const auto& entry) {
    return entry.second->cancelled && entry.second->cancelled->load();
  };
  return (!stalled_ && scheduler_.has_work()) || std::any_of(tasks_.begin(), tasks_.end(), cancelled);
}

void Batcher::step(const Decoder::Stop& check_closing) {
  const auto start = std::chrono::steady_clock::now();
  const double busy_before = model_ms_ + sampling_ms_;
  drop_cancelled();
  Step step = scheduler_.plan();
  stalled_ = step.empty();
  if (!step.empty()) {
    name_image_rows(step);
    name_readouts(step);
    const Decoder::Stop check_cancelled = when_all_cancelled(step);
    try {
      const Decoder::StepOutput out = compute(step, [&] {
        check_closing();
        check_cancelled();
      });
      scheduler_.commit(step);
      draw_tokens(step, out.logits);
      read_scores(step, out);
    } catch (...) {
      // Nothing of the step counts: whoever took part fails with it.
      for (const StepOutput& output : step.outputs) fail(output.group, std::current_exception());
      for (const Step::Slice& slice : step.prefill) fail(slice.group, std::current_exception());
    }
  }
  collect_finished();
  scheduling_ms_ += milliseconds_since(start) - (model_ms_ + sampling_ms_ - busy_before);
}

void Batcher::drop_cancelled() {
  std::vector<GroupId> cancelled;
  for (const auto& [id, task] : tasks_) {
    if (task->cancelled && task->cancelled->load()) cancelled.push_back(id);
  }
  for (GroupId id : cancelled) fail(id, aborted_error());
}

Decoder::Stop Batcher::when_all_cancelled(const Step& step) const {
  std::vector<CancelFlag> flags;
  const auto add = [&](GroupId id) { flags.push_back(tasks_.at(id)->cancelled); };
  for (const StepOutput& output : step.outputs) add(output.group);
  for (const Step::Slice& slice : step.prefill) add(slice.group);
  return [flags] {
    const auto set = [](const CancelFlag& f) { return f && f->load(); };
    if (std::all_of(flags.begin(), flags.end(), set)) std::rethrow_exception(aborted_error());
  };
}

// Tokens that mean image rows get their places in the slab.
void Batcher::name_image_rows(Step& step) const {
  if (step.image_rows.empty()) return;
  std::map<uint32_t, const EmbeddedImage*> by_id;
  for (const Step::Slice& slice : step.prefill) {
    for (const auto& image : tasks_.at(slice.group)->images) by_id[image->id] = image.get();
  }
  for (int32_t& token : step.plan.tokens_T) {
    if (token >= 0) continue;
    const TokenKey key = step.image_rows[-1 - token];
    token = -1 - by_id.at(image_of(key))->slab_row(image_row_of(key));
  }
}

// What becomes of each output row: all logits for samples and classes, two for pairs.
void Batcher::name_readouts(Step& step) const {
  for (size_t i = 0; i < step.outputs.size(); ++i) {
    const StepOutput& output = step.outputs[i];
    const int32_t index = static_cast<int32_t>(i);
    if (output.score >= 0) {
      const ForwardRequest& r = *static_cast<const ScoreTask&>(*tasks_.at(output.group)).request;
      if (r.output == Output::kPair) {
        step.plan.pair_outputs.push_back({index, {r.pair[0], r.pair[1]}});
      } else {
        step.plan.head_outputs.push_back(index);
      }
    } else if (!output.samples.empty()) {
      step.plan.head_outputs.push_back(index);
    }
  }
}

Decoder::StepOutput Batcher::compute(const Step& step, const Decoder::Stop& stop) {
  const auto start = std::chrono::steady_clock::now();
  const Decoder::StepOutput out = decoder_.step(step.plan, pages_, image_rows_.rows(), stop);
  model_ms_ += milliseconds_since(start);
  return out;
}

void Batcher::draw_tokens(const Step& step, const Tensor& logits) {
  std::vector<std::pair<GroupId, int>> samples;
  draws_.clear();
  for (size_t row = 0; row < step.plan.head_outputs.size(); ++row) {
    const StepOutput& output = step.outputs[step.plan.head_outputs[row]];
    if (output.samples.empty()) continue;
    const auto& task = static_cast<const GenerateTask&>(*tasks_.at(output.group));
    for (int sample : output.samples) {
      draws_.push_back(task.draw_for(sample, static_cast<int>(row)));
      draws_.back().shares_row = output.samples.size() > 1;
      samples.push_back({output.group, sample});
    }
  }
  if (draws_.empty()) return;

  const auto start = std::chrono::steady_clock::now();
  device_.sample({logits, draws_.data(), static_cast<int32_t>(draws_.size())});
  sampling_ms_ += milliseconds_since(start);

  for (size_t i = 0; i < draws_.size(); ++i) {
    const auto [group, sample] = samples[i];
    const auto found = tasks_.find(group);
    if (found == tasks_.end()) continue;  // failed by a sibling's draw
    if (draws_[i].token < 0) {
      fail(group, no_finite_logit());
      continue;
    }
    const FinishReason finish = scheduler_.append(group, sample, draws_[i].token);
    static_cast<GenerateTask&>(*found->second).append(sample, draws_[i], finish);
  }
  for (const auto& [id, task] : tasks_) {
    if (auto* generate = dynamic_cast<GenerateTask*>(task.get())) generate->send_events();
  }
}

void Batcher::read_scores(const Step& step, const Decoder::StepOutput& out) {
  const auto tell = [&](int32_t output, std::vector<float> values) {
    const StepOutput& o = step.outputs[output];
    scheduler_.set_score(o.group, o.score, std::move(values));
  };
  const auto start = std::chrono::steady_clock::now();
  std::vector<float> pairs(2 * step.plan.pair_outputs.size());
  if (!pairs.empty()) device_.read(pairs.data(), out.pairs);
  model_ms_ += milliseconds_since(start);
  for (size_t i = 0; i < step.plan.pair_outputs.size(); ++i)
    tell(step.plan.pair_outputs[i].output, {pairs[2 * i], pairs[2 * i + 1]});
  for (size_t row = 0; row < step.plan.head_outputs.size(); ++row) {
    if (step.outputs[step.plan.head_outputs[row]].score < 0) continue;
    std::vector<float> classes(out.logits.cols);
    device_.read(classes.data(), out.logits.part(static_cast<int64_t>(row), 1));
    tell(step.plan.head_outputs[row], std::move(classes));
  }
}

void Batcher::fail(GroupId id, std::exception_ptr error) {
  const auto found = tasks_.find(id);
  if (found == tasks_.end()) return;
  const std::unique_ptr<Task> task = std::move(found->second);
  tasks_.erase(found);
  scheduler_.remove(id);
  stalled_ = false;
  outbox_.push_back(task->fail(error));
}

void Batcher::deliver() {
  for (const std::function<void()>& call : std::exchange(outbox_, {})) call();
}

void Batcher::fail_all(std::exception_ptr error) {
  while (!tasks_.empty()) fail(tasks_.begin()->first, error);
}

void Batcher::collect_finished() {
  for (auto it = tasks_.begin(); it != tasks_.end();) {
    if (!scheduler_.finished(it->first)) {
      ++it;
      continue;
    }
    outbox_.push_back(it->second->finish(scheduler_, it->first));
    scheduler_.remove(it->first);
    it = tasks_.erase(it);
    stalled_ = false;
  }
}

void Batcher::fill(EngineStats& stats) const {
  stats.num_requests_waiting = scheduler_.num_waiting();
  stats.num_requests_running = static_cast<int64_t>(tasks_.size()) - stats.num_requests_waiting;
  stats.num_samples_running = scheduler_.num_running();
  stats.num_pages = pool_.num_pages();
  stats.num_used_pages = pool_.num_pages() - pool_.num_free();
  stats.num_cached_pages = cache_.num_cached_pages();
  stats.tokens_per_page = kPageTokens;
  stats.bytes_per_page = static_cast<int64_t>(device_.page_bytes(pages_.shape));
  const SchedulerCounts& counts = scheduler_.counts();
  stats.num_steps = counts.steps;
  stats.num_decoded_tokens = counts.decode_rows;
  stats.num_prefilled_tokens = counts.prefill_rows;
  stats.num_reused_tokens = counts.reused_tokens;
  stats.num_preemptions = counts.preemptions;
  stats.num_evicted_pages = cache_.num_evicted_pages();
  stats.model_ms = model_ms_;
  stats.sampling_ms = sampling_ms_;
  stats.scheduling_ms = scheduling_ms_;
}

}  // namespace mmprm
