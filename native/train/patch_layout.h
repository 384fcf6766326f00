// The pictures of a batch as a tower of patches works on them: their patches one picture behind the other, each in the
// order of its windows, and which of them see each other. Pure.
#pragma once
#include <vector>

#include "device/tree_plan.h"
#include "include/engine/picture.h"
#include "models/model_spec.h"
#include "models/patch_grid.h"

namespace mmprm {

struct PatchLayout {
  static constexpr int kTaps = 4;  // rows of the table of positions that a patch's is made of

  int num_patches = 0;
  TreePlan whole,
      windows;  // a run for each picture, each with its own angles; for each window, where there are some
  std::vector<float> pixels;   // [patches, channels · frames · patch²]
  std::vector<float> angles;   // [patches, head size]
  std::vector<int32_t> rows;   // [patches, kTaps]: of the table; empty where there is none
  std::vector<float> weights;  // [patches, kTaps]
};

PatchLayout lay_out(const std::vector<PicturePtr>& pictures, const VisionSpec& spec);

}  // namespace mmprm
