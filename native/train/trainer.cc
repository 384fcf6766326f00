#include "include/engine/trainer.h"

#include <cmath>

#include "backends/open_device.h"
#include "models/registry.h"
#include "train/batch_check.h"
#include "train/loss.h"
#include "train/optimizer.h"
#include "train/preference_loss.h"
#include "train/sequences.h"
#include "train/train_decoder.h"
#include "train/train_patch_vision.h"
#include "train/train_state.h"
#include "train/train_vision.h"

namespace mmprm {
namespace {

std::vector<ModelPart> trainable_parts(const TrainerOptions& options) {
  std::vector<ModelPart> parts;
  if (options.train_vision) parts.push_back(ModelPart::kVision);
  if (options.train_projector) parts.push_back(ModelPart::kProjector);
  if (options.train_language && options.lora_rank == 0) parts.push_back(ModelPart::kLanguage);
  if (options.lora_rank > 0) parts.push_back(ModelPart::kAdapter);
  parts.push_back(ModelPart::kHead);
  return parts;
}

std::unique_ptr<Device> open_training_device(const TrainerOptions& options) {
  const std::string named = "device \"" + options.device + "\"";
  // WHY before it is opened: that there is no card, or no library, would not be the reason.
  if (options.device.starts_with("cuda"))
    throw Error(ErrorCode::kNoDevice, named + " does not train yet; \"cpu\" does");
  auto device =
      open_device({options.device, options.device_library, options.isa, options.num_threads}).device;
  if (!device->training())
    throw Error(ErrorCode::kNoDevice, named + ": " + device->info().name + " does not train; \"cpu\" does");
  return device;
}

}  // namespace

class Trainer::Impl {
 public:
  explicit Impl(const TrainerOptions& options)
      : device_(open_training_device(options)),
        ops_(*device_, device_->info().activation(options.compute)),
        workspace_(*device_),
        model_(open_model(options, *device_)),
        decoder_(*model_, ops_, options.recompute),
        loss_(*model_, ops_),
        preference_loss_(loss_) {
    if (model_->spec().vision) vision_ = open_tower(options.recompute);
    describe();
  }

  const TrainerInfo& info() const { return info_; }
  TrainModel& model() { return *model_; }
  int64_t& num_steps() { return num_steps_; }

  BatchResult run(const TrainBatch& batch, double scale, bool learn, const std::atomic<bool>* cancelled) {
    check_batch(batch, model_->spec());
    Tensor image_rows;
    if (!batch.images.empty()) image_rows = vision_->forward(batch.images, cancelled);
    const TrainPlan plan = plan_training(sequences_of(batch, model_->spec()));
    const Tensor x = decoder_.forward(plan, image_rows, cancelled);
    const Tensor d_x = learn ? decoder_.output_gradient() : Tensor();
    const LossResult loss = loss_of(batch, plan, x, scale, d_x);
    // WHY before the backward pass: a loss that is not a number must not reach
    // the gradients of other batches.
    if (learn && std::isfinite(loss.loss)) backward(image_rows, cancelled);
    return result_of(batch, plan, loss, image_rows.rows);
  }

  double step(const StepOptions& options) {
    if (options.anchor > 0) pull_to_anchor(model_->head(), options.anchor, ops_);
    const double norm = adamw_step(model_->parameters(), options, num_steps_ + 1, *device_);
    if (std::isfinite(norm)) ++num_steps_;
    model_->parameters().clear_gradients();
    return norm;
  }

 private:
  // WHY a pointer: the model is built in steps that the members behind it need finished.
  static std::unique_ptr<TrainModel> open_model(const TrainerOptions& options, Device& device) {
    const Checkpoint checkpoint = Checkpoint::open(options.model_folder);
    checkpoint.make_all();
    auto model = std::make_unique<TrainModel>(checkpoint, parse_model_spec(checkpoint), device, options.head,
                                              options.seed);
    model->add_tokens(options.new_tokens);
    if (options.lora_rank > 0) {
      model->add_adapters({options.lora_rank, options.lora_alpha, options.lora_targets, options.seed});
    }
    model->parameters().set_trainable(trainable_parts(options));
    return model;
  }

  std::unique_ptr<TrainTower> open_tower(bool recompute) {
    if (model_->spec().vision->kind == VisionKind::kPatches)
      return std::make_unique<TrainPatchVision>(*model_, ops_, recompute);
    return std::make_unique<TrainVision>(*model_, ops_, recompute);
  }

  void describe() {
    info_.isa = device_->info().result_class;
    info_.compute = ops_.compute();
    info_.num_threads = device_->info().num_threads;
    for (const Parameter& p : model_->parameters().all()) {
      info_.num_parameters += static_cast<int64_t>(p.size());
      if (p.trainable) info_.num_trainable += static_cast<int64_t>(p.size());
    }
    if (info_.num_trainable == 0)
      throw Error(ErrorCode::kInvalidArgument, "nothing is to be trained: all is frozen");
    const ModelSpec& spec = model_->spec();
    info_.vocab = spec.decoder.vocab_V;
    info_.max_positions = spec.decoder.max_positions;
    if (spec.vision && spec.vision->kind == VisionKind::kTiles) {
      info_.tokens_per_tile = spec.vision->tokens_per_tile();
      info_.image_size = spec.vision->image_size;
    }
  }

  void backward(const Tensor& image_rows, const std::atomic<bool>* cancelled) {
    const bool see = image_rows.rows > 0 && (model_->vision().projector_fc2.weight->trainable ||
                                             model_->vision().patch_embedding.weight->trainable);
    if (!see) return decoder_.backward({}, cancelled);
    workspace_.reserve(d_image_, image_rows.rows, image_rows.cols, DType::kF32);
    const Tensor d_image = d_image_.part(0, image_rows.rows);
    ops_.clear(d_image);
    decoder_.backward(d_image, cancelled);
    vision_->backward(d_image, cancelled);
  }

  LossResult loss_of(const TrainBatch& batch, const TrainPlan& plan, const Tensor& x, double scale,
                     const Tensor& d_x) {
    switch (batch.task) {
      case TrainTask::kTokens:
        return loss_.tokens(plan.token_terms, x, scale, d_x);
      case TrainTask::kMarkers:
        return loss_.markers(plan.marker_terms, batch, x, scale, d_x);
      case TrainTask::kPairs:
        return preference_loss_.pairs(batch, plan, x, scale, d_x);
    }
    throw Error(ErrorCode::kInternal, "a batch of no task");
  }

  static BatchResult result_of(const TrainBatch& batch, const TrainPlan& plan, const LossResult& loss,
                               int image_rows) {
    BatchResult out;
    out.loss = loss.loss;
    out.weight = loss.weight;
    out.num_correct = loss.num_correct;
    out.num_terms = loss.num_terms;
    out.num_tokens = plan.num_tokens;
    out.num_rows = plan.num_rows();
    out.num_image_rows = image_rows;
    out.logprobs = loss.logprobs;
    if (batch.task != TrainTask::kMarkers) return out;
    for (const TrainSample& sample : batch.samples) out.predictions.emplace_back(sample.markers.size());
    for (size_t i = 0; i < plan.marker_terms.size(); ++i) {
      const MarkerTerm& term = plan.marker_terms[i];
      out.predictions[term.sequence][term.marker] = loss.predictions[i];
    }
    return out;
  }

  std::unique_ptr<Device> device_;
  TrainOps ops_;
  Workspace workspace_;
  std::unique_ptr<TrainModel> model_;
  TrainDecoder decoder_;
  std::unique_ptr<TrainTower> vision_;
  Loss loss_;
  PreferenceLoss preference_loss_;
  Tensor d_image_;
  TrainerInfo info_;
  int64_t num_steps_ = 0;
};

namespace {

const StoredTensor& find_or_throw(const ParameterSet& parameters, const std::string& name) {
  const StoredTensor* tensor = parameters.find(name);
  if (!tensor) throw Error(ErrorCode::kInvalidArgument, "the model has no tensor " + name);
  return *tensor;
}

}  // namespace

std::shared_ptr<Trainer> Trainer::open(const TrainerOptions& options) {
  if (options.compute == DType::kF16)
    throw Error(ErrorCode::kInvalidArgument, "training computes in f32 or bf16");
  return std::shared_ptr<Trainer>(new Trainer(std::make_unique<Impl>(options)));
}

Trainer::Trainer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Trainer::~Trainer() = default;

const TrainerInfo& Trainer::info() const { return impl_->info(); }
int64_t Trainer::num_steps() const { return impl_->num_steps(); }

BatchResult Trainer::accumulate(const TrainBatch& batch, double scale, const std::atomic<bool>* cancelled) {
  return impl_->run(batch, scale, true, cancelled);
}

BatchResult Trainer::evaluate(const TrainBatch& batch, const std::atomic<bool>* cancelled) {
  return impl_->run(batch, 0, false, cancelled);
}

double Trainer::step(const StepOptions& options) { return impl_->step(options); }
void Trainer::clear_gradients() { impl_->model().parameters().clear_gradients(); }

std::vector<std::string> Trainer::tensor_names() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : impl_->model().parameters().tensors()) names.push_back(name);
  return names;
}

std::vector<float> Trainer::tensor(const std::string& name, TensorField field) const {
  const ParameterSet& parameters = impl_->model().parameters();
  return parameters.read(find_or_throw(parameters, name), field);
}

void Trainer::set_tensor(const std::string& name, const std::vector<float>& values) {
  ParameterSet& parameters = impl_->model().parameters();
  const StoredTensor& tensor = find_or_throw(parameters, name);
  if (values.size() != tensor.size()) {
    throw Error(ErrorCode::kInvalidArgument, "tensor " + name + " has " + std::to_string(tensor.size()) +
                                                 " values, got " + std::to_string(values.size()));
  }
  parameters.write(tensor, TensorField::kValue, values.data());
}

void Trainer::save_model(const std::string& path, DType dtype, SaveForm form) {
  save_model_file(impl_->model(), path, dtype, form);
}

void Trainer::save_state(const std::string& path) const {
  save_state_file(impl_->model().parameters(), impl_->num_steps(), path);
}

void Trainer::load_state(const std::string& path) {
  impl_->num_steps() = load_state_file(impl_->model().parameters(), path);
}

}  // namespace mmprm
