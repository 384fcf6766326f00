#include "train/optimizer.h"

#include <algorithm>
#include <cmath>

namespace mmprm {
namespace {

struct Run {
  Parameter* parameter;
  size_t begin, size;
};

std::vector<Run> runs_of(ParameterSet& parameters) {
  std::vector<Run> runs;
  for (Parameter& p : parameters.all()) {
    if (!p.trainable) continue;
    for (size_t begin = 0; begin < p.size(); begin += kAdamwRun) {
      runs.push_back({&p, begin, std::min(size_t(kAdamwRun), p.size() - begin)});
    }
  }
  return runs;
}

double global_norm(const std::vector<Run>& runs, TrainOps& ops) {
  std::vector<double> squares(runs.size());
  ops.pool().run(static_cast<int64_t>(runs.size()), 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      squares[i] = ops.kernels().adamw.sum_of_squares(runs[i].parameter->gradient() + runs[i].begin,
                                                      int64_t(runs[i].size));
    }
  });
  double sum = 0;
  for (double s : squares) sum += s;
  return std::sqrt(sum);
}

}  // namespace

double adamw_step(ParameterSet& parameters, const StepOptions& options, int64_t step, TrainOps& ops) {
  const std::vector<Run> runs = runs_of(parameters);
  const double norm = global_norm(runs, ops);
  if (!std::isfinite(norm)) return norm;
  AdamwArgs common;
  common.clip = options.max_norm > 0 ? float(std::min(1.0, options.max_norm / (norm + 1e-6))) : 1.0f;
  common.learning_rate = options.learning_rate;
  common.beta1 = options.beta1;
  common.beta2 = options.beta2;
  common.eps = options.eps;
  common.correction1 = 1 - std::pow(options.beta1, double(step));
  common.correction2 = 1 - std::pow(options.beta2, double(step));
  ops.pool().run(static_cast<int64_t>(runs.size()), 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto& [p, first, size] = runs[i];
      AdamwArgs args = common;
      args.weight = p->value() + first;
      args.gradient = p->gradient() + first;
      args.m = p->m() + first;
      args.v = p->v() + first;
      args.size = static_cast<int64_t>(size);
      args.decay = options.decay_vectors || p->is_matrix() ? options.weight_decay : 0;
      ops.kernels().adamw.run(args);
    }
  });
  return norm;
}

}  // namespace mmprm
