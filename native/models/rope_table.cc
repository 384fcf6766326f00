#include "models/rope_table.h"

#include <algorithm>
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

// The frequency, counted as a real number, that turns `rotations` times within the original positions.
double yarn_corner(double rotations, const RopeSpec& spec, int head_dim_D) {
  const double wavelength = spec.original_max_positions / (rotations * 2 * std::numbers::pi);
  return head_dim_D * std::log(wavelength) / (2 * std::log(spec.theta));
}

// 0 where frequency i stays, 1 where it is slowed by `factor`, between them a ramp.
double yarn_share(int i, const RopeSpec& spec, int head_dim_D) {
  double low = yarn_corner(spec.beta_fast, spec, head_dim_D),
         high = yarn_corner(spec.beta_slow, spec, head_dim_D);
  if (spec.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, double(head_dim_D - 1));
  if (low == high) high += 0.001;
  return std::clamp((i - low) / (high - low), 0.0, 1.0);
}

// In blocks, one axis behind the other; or row and column in turn with time, as far as their sections reach.
int axis_of(const RopeSpec& spec, int i) {
  const auto& [time, row, column] = spec.sections;
  if (spec.interleaved) return i % 3 == 1 && i < 3 * row ? 1 : i % 3 == 2 && i < 3 * column ? 2 : 0;
  return i < time ? 0 : i < time + row ? 1 : i < time + row + column ? 2 : 0;
}

}  // namespace

RopeTable::RopeTable(const RopeSpec& spec, int head_dim_D) : scale_(float(spec.attention_factor)) {
  for (int i = 0; i < head_dim_D / 2; ++i) {
    float frequency = float(1.0 / std::pow(spec.theta, 2.0 * i / head_dim_D));
    if (spec.scaling == RopeScaling::kLinear) frequency = float(frequency / spec.factor);
    if (spec.scaling == RopeScaling::kLlama3) frequency = scale_llama3(frequency, spec);
    if (spec.scaling == RopeScaling::kYarn) {
      const double slowed = yarn_share(i, spec, head_dim_D);
      frequency = float(frequency / spec.factor * slowed + frequency * (1 - slowed));
    }
    inverse_frequencies_.push_back(frequency);
    axis_.push_back(axis_of(spec, i));
  }
}

float RopeTable::cosine(double angle) const { return float(std::cos(angle)) * scale_; }
float RopeTable::sine(double angle) const { return float(std::sin(angle)) * scale_; }

void RopeTable::grow(int num_positions) {
  const size_t half = inverse_frequencies_.size();
  table_.reserve(size_t(num_positions) * 2 * half);
  for (; num_positions_ < num_positions; ++num_positions_) {
    for (float f : inverse_frequencies_) table_.push_back(cosine(double(float(num_positions_) * f)));
    for (float f : inverse_frequencies_) table_.push_back(sine(double(float(num_positions_) * f)));
  }
}

void RopeTable::write_row(const RopeAxes& at, float* cos_sin) const {
  const size_t half = inverse_frequencies_.size();
  const int32_t places[] = {at.time, at.row, at.column};
  for (size_t i = 0; i < half; ++i) {
    const auto angle = double(float(places[axis_[i]]) * inverse_frequencies_[i]);
    cos_sin[i] = cosine(angle);
    cos_sin[half + i] = sine(angle);
  }
}

}  // namespace mmprm
