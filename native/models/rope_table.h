// cos and sin of the rotary angles, [position][2][D/2], grown on demand. Angles are float32 products, as in
// the reference implementations; llama3, linear and yarn scaling follow transformers' published formulas; yarn's
// attention factor is in the numbers, so that queries and keys both carry it. Dynamic (NTK) scaling changes nothing
// up to max_positions, and longer sequences are rejected.
#pragma once
#include <vector>

#include "device/step_plan.h"
#include "models/model_spec.h"

namespace mmprm {

class RopeTable {
 public:
  RopeTable(const RopeSpec& spec, int head_dim_D);
  const float* data() const { return table_.data(); }
  void grow(int num_positions);
  // The D numbers of one row whose frequencies turn by sections.
  void write_row(const RopeAxes& at, float* cos_sin) const;

 private:
  float cosine(double angle) const;
  float sine(double angle) const;

  float scale_;                             // of cosines and sines
  std::vector<float> inverse_frequencies_;  // [D/2]
  std::vector<int> axis_;                   // 0 time, 1 row, 2 column: what each frequency turns by
  std::vector<float> table_;
  int num_positions_ = 0;
};

}  // namespace mmprm
