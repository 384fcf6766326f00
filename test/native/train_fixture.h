// What tests of training ops work on: matrices and parameters in host memory, the reference kernels in fp32 on two threads.
#pragma once
#include "cpu/cpu_device.h"
#include "device/address.h"
#include "finite_difference.h"
#include "train/train_ops.h"

namespace mmprm {

constexpr int kRows = 5;

// Rows with a gap behind each, as activations have. WHY host memory: its elements are moved one by one.
struct Matrix {
  int rows, cols;
  std::vector<float> values;

  Matrix(int r, int c, uint32_t seed, double deviation = 1)
      : rows(r), cols(c), values(grid_values(size_t(r) * (c + 3), seed, deviation)) {}
  Tensor view() { return {address_of(values.data()), DType::kF32, rows, cols, cols + 3}; }
  float& at(int r, int c) { return values[size_t(r) * (cols + 3) + c]; }
  std::vector<double> flat() {
    std::vector<double> out;
    for (float* v : elements()) out.push_back(*v);
    return out;
  }
  std::vector<float*> elements() {
    std::vector<float*> out;
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < cols; ++c) out.push_back(&at(r, c));
    }
    return out;
  }
};

struct Trained : Parameter {
  std::vector<float> values, gradients;

  Trained(int r, int c, uint32_t seed, double deviation = 1)
      : values(grid_values(size_t(r) * c, seed, deviation)), gradients(values.size()) {
    rows = r;
    cols = c;
    trainable = true;
    value = {address_of(values.data()), DType::kF32, r, c, c};
    gradient = {address_of(gradients.data()), DType::kF32, r, c, c};
  }
  Trained(const Trained&) = delete;
  Variable variable(std::string name) {
    Variable out{std::move(name), {}, {}};
    for (size_t i = 0; i < size(); ++i) {
      out.elements.push_back(&values[i]);
      out.gradient.push_back(gradients[i]);
    }
    return out;
  }
};

struct Fixture {
  CpuDevice device{Isa::kReference, 2};
  TrainOps ops{device, DType::kF32};
  TrainingOps& device_ops = ops.device_ops();
};

// c as fp32 rows: the gradient that arrives from above.
inline Matrix incoming(int rows, int cols) { return Matrix(rows, cols, 99); }

}  // namespace mmprm
