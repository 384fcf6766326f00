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

}  // namespace

RopeTable::RopeTable(const RopeSpec& spec, int head_dim_D) {
  for (int i = 0; i < head_dim_D / 2; ++i) {
    float frequency = float(1.0 / std::pow(spec.theta, 2.0 * i / head_dim_D));
    if (spec.scaling == RopeScaling::kLinear) frequency = float(frequency / spec.factor);
    if (spec.scaling == RopeScaling::kLlama3) frequency = scale_llama3(frequency, spec);
    inverse_frequencies_.push_back(frequency);
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

}  // namespace mmprm
