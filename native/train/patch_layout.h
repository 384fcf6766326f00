// The pictures of a batch as a tower of patches works on them: their patches one picture behind the other, each in the
// order of its windows, and which of them see each other. Pure.
#pragma once
#include <vector>

#include "include/engine/picture.h"
#include "kernels/tree_attention/tree_attention.h"
#include "models/model_spec.h"
#include "models/patch_grid.h"

namespace mmprm {

// Rows that see each other, run by run.
struct PatchRuns {
  std::vector<TreeSegment> segments;
  std::vector<int32_t> tree_begin_1{0};
  int longest = 0;

  void add(int num_rows);
};

struct PatchLayout {
  int num_patches = 0;
  PatchRuns whole, windows;            // pictures; their windows, empty where the tower has none
  std::vector<float> pixels;           // [patches, channels · frames · patch²]
  std::vector<float> angles;           // [patches, head size]
  std::vector<int32_t> angle_rows;     // 0, 1, 2 …
  std::vector<PositionMix> positions;  // empty where there is no table
};

PatchLayout lay_out(const std::vector<PicturePtr>& pictures, const VisionSpec& spec);

}  // namespace mmprm
