#include "include/engine/trainer.h"

#include <cmath>

#include "base/cpu_features.h"
#include "models/registry.h"
#include "train/batch_check.h"
#include "train/loss.h"
#include "train/optimizer.h"
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
  return parts;
}

}  // namespace

class Trainer::Impl {
 public:
  explicit Impl(const TrainerOptions& options)
      : kernels_(kernel_table(options.isa.empty() ? detect_isa() : parse_isa(options.isa))),
        pool_(options.num_threads > 0 ? options.num_threads : default_num_threads()),
        ops_(kernels_, pool_, activation_dtype(kernels_.isa, options.compute)),
        model_(open_model(options)),
        decoder_(*model_, ops_, options.recompute),
        loss_(*model_, ops_),
        d_image_(model_->image_width(), DType::kF32) {
    if (model_->spec().vision) vision_ = open_tower(options.recompute);
    describe();
  }

  const TrainerInfo& info() const { return info_; }
  TrainModel& model() { return *model_; }
  int64_t& num_steps() { return num_steps_; }

  BatchResult run(const TrainBatch& batch, double scale, bool learn, const std::atomic<bool>* cancelled) {
    check_batch(batch, model_->spec());
    Rows image_rows;
    if (!batch.images.empty()) image_rows = vision_->forward(batch.images, cancelled);
    const TrainPlan plan = plan_training(sequences_of(batch, model_->spec()));
    const Rows x = decoder_.forward(plan, image_rows, cancelled);
    const Rows d_x = decoder_.output_gradient();
    const LossResult loss =
        batch.task == TrainTask::kTokens
            ? loss_.tokens(plan.token_terms, x, scale, learn ? &d_x : nullptr)
            : loss_.markers(plan.marker_terms, batch.pair, x, scale, learn ? &d_x : nullptr);
    // WHY before the backward pass: a loss that is not a number must not reach
    // the gradients of other batches.
    if (learn && std::isfinite(loss.loss)) backward(plan, image_rows, cancelled);
    return result_of(batch, plan, loss, image_rows.rows);
  }

  double step(const StepOptions& options) {
    const double norm = adamw_step(model_->parameters(), options, num_steps_ + 1, ops_);
    if (std::isfinite(norm)) ++num_steps_;
    model_->parameters().clear_gradients();
    return norm;
  }

 private:
  // WHY a pointer: the model is built in steps that the members behind it need finished.
  static std::unique_ptr<TrainModel> open_model(const TrainerOptions& options) {
    const Checkpoint checkpoint = Checkpoint::open(options.model_folder);
    checkpoint.make_all();
    auto model = std::make_unique<TrainModel>(checkpoint, parse_model_spec(checkpoint));
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
    info_.isa = std::string(isa_name(kernels_.isa));
    info_.compute = ops_.compute();
    info_.num_threads = pool_.num_threads();
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

  void backward(const TrainPlan& plan, const Rows& image_rows, const std::atomic<bool>* cancelled) {
    const bool see = image_rows.rows > 0 && (model_->vision().projector_fc2.weight->trainable ||
                                             model_->vision().patch_embedding.weight->trainable);
    if (!see) return decoder_.backward(plan, nullptr, cancelled);
    d_image_.reserve(image_rows.rows);
    const Rows d_image(d_image_, image_rows.rows);
    for (int r = 0; r < d_image.rows; ++r) std::fill_n(d_image.row(r), d_image.cols, 0.0f);
    decoder_.backward(plan, &d_image, cancelled);
    vision_->backward(d_image, cancelled);
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
    if (batch.task == TrainTask::kTokens) return out;
    for (const TrainSample& sample : batch.samples) out.predictions.emplace_back(sample.markers.size());
    for (size_t i = 0; i < plan.marker_terms.size(); ++i) {
      const MarkerTerm& term = plan.marker_terms[i];
      out.predictions[term.sequence][term.marker] = loss.predictions[i];
    }
    return out;
  }

  const KernelTable& kernels_;
  ThreadPool pool_;
  TrainOps ops_;
  std::unique_ptr<TrainModel> model_;
  TrainDecoder decoder_;
  std::unique_ptr<TrainTower> vision_;
  Loss loss_;
  RowBuffer d_image_;
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
