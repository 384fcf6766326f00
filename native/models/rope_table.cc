#include "models/rope_table.h"

#include <cmath>
#include <numbers>

namespace mmprm {
namespace {

// Long wavelengths are slowed by `factor`, short ones stay, those between are blended.
float scale_llama3(float frequency, const RopeSpec& spec) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  if (wavelength < spec.original_max_positions / spec.high_freq_factor) return frequency;
  if (wavelength > spec.original_max_positions / spec.low_freq_factor) return float(frequency / spec.factor);
  const double smooth = (spec.original_max_positions / wavelength - spec.low_freq_factor) /
                        (spec.high_freq_factor - spec.low_freq_factor);
  return float((1 - smooth) * frequency / spec.factor + smooth * frequency);
}

// In blocks, one axis behind the other; or row and column in turn with time, as far as their sections reach.
int axis_of(const RopeSpec& spec, int i) {
  const auto& [time, row, column] = spec.sections;
  if (spec.interleaved) return i % 3 == 1 && i < 3 * row ? 1 : i % 3 == 2 && i < 3 * column ? 2 : 0;
  return i < time ? 0 : i < time + row ? 1 : i < time + row + column ? 2 : 0;
}

}  // namespace

RopeTable::RopeTable(const RopeSpec& spec, int head_dim_D) {
  for (int i = 0; i < head_dim_D / 2; ++i) {
    float frequency = float(1.0 / std::pow(spec.theta, 2.0 * i / head_dim_D));
    if (spec.scaling == RopeScaling::kLinear) frequency = float(frequency / spec.factor);
    if (spec.scaling == RopeScaling::kLlama3) frequency = scale_llama3(frequency, spec);
    inverse_frequencies_.push_back(frequency);
    axis_.push_back(axis_of(spec, i));
  }
}

void RopeTable::grow(int num_positions) {
  const size_t half = inverse_frequencies_.size();
  table_.reserve(size_t(num_positions) * 2 * half);
  for (; num_positions_ < num_positions; ++num_positions_) {
    for (float f : inverse_frequencies_) table_.push_back(float(std::cos(double(float(num_positions_) * f))));
    for (float f : inverse_frequencies_) table_.push_back(float(std::sin(double(float(num_positions_) * f))));
  }
}

void RopeTable::write_row(const RopeAxes& at, float* cos_sin) const {
  const size_t half = inverse_frequencies_.size();
  const int32_t places[] = {at.time, at.row, at.column};
  for (size_t i = 0; i < half; ++i) {
    const auto angle = double(float(places[axis_[i]]) * inverse_frequencies_[i]);
    cos_sin[i] = float(std::cos(angle));
    cos_sin[half + i] = float(std::sin(angle));
  }
}

}  // namespace mmprm
