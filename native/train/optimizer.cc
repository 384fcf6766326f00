#include "train/optimizer.h"

#include <algorithm>
#include <cmath>

#include "models/workspace.h"

namespace mmprm {
namespace {

double global_norm(const std::vector<Tensor>& gradients, Device& device) {
  Workspace workspace(device);
  Tensor sum;
  workspace.reserve(sum, 1, 1, DType::kF64);
  device.training()->sum_of_squares({sum, gradients.data(), int32_t(gradients.size())});
  double squares = 0;
  device.read(&squares, sum);
  return std::sqrt(squares);
}

}  // namespace

double adamw_step(const ParameterSet& parameters, const StepOptions& options, int64_t step, Device& device) {
  std::vector<Tensor> gradients;
  std::vector<AdamwParameter> trained;
  for (const Parameter& p : parameters.all()) {
    if (!p.trainable) continue;
    gradients.push_back(p.gradient);
    const double decay = options.decay_vectors || p.is_matrix() ? options.weight_decay : 0;
    trained.push_back({p.value, p.gradient, p.m, p.v, decay});
  }
  const double norm = global_norm(gradients, device);
  if (!std::isfinite(norm)) return norm;
  AdamwOp op;
  op.parameters = trained.data();
  op.num_parameters = int32_t(trained.size());
  op.clip = options.max_norm > 0 ? float(std::min(1.0, options.max_norm / (norm + 1e-6))) : 1.0f;
  op.learning_rate = options.learning_rate;
  op.beta1 = options.beta1;
  op.beta2 = options.beta2;
  op.eps = options.eps;
  op.correction1 = 1 - std::pow(options.beta1, double(step));
  op.correction2 = 1 - std::pow(options.beta2, double(step));
  device.training()->adamw(op);
  return norm;
}

}  // namespace mmprm
