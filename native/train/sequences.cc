#include "train/sequences.h"

#include "train/picture_rows.h"

namespace mmprm {
namespace {

// Rows of the sample's pictures, in the order of its image tokens.
struct Shown {
  int32_t row;
  PictureGrid grid;
  int32_t index;  // in its picture
};

std::vector<Shown> shown_by(const TrainSample& sample, const std::vector<PictureRows>& pictures) {
  std::vector<Shown> all;
  for (int32_t image : sample.images) {
    const PictureRows& picture = pictures[image];
    for (size_t i = 0; i < picture.rows.size(); ++i)
      all.push_back({picture.rows[i], picture.grid, static_cast<int32_t>(i)});
  }
  return all;
}

TrainSequence sequence_of(const TrainSample& sample, int32_t image_token, const std::vector<Shown>& shown,
                          bool with_axes) {
  TrainSequence out;
  out.tokens = sample.tokens;
  out.group = sample.group;
  out.token_weights = sample.token_weights;
  out.markers = sample.markers;
  out.labels = sample.labels;
  out.marker_weights = sample.marker_weights;
  out.siblings = sample.siblings;
  AxesWalk walk;
  size_t next = 0;
  for (int32_t& token : out.tokens) {
    const bool is_shown = token == image_token && !shown.empty();
    if (with_axes)
      out.axes.push_back(is_shown ? walk.picture(shown[next].grid, shown[next].index) : walk.text());
    if (is_shown) token = -1 - shown[next++].row;
  }
  return out;
}

}  // namespace

std::vector<TrainSequence> sequences_of(const TrainBatch& batch, const ModelSpec& spec) {
  std::vector<PictureRows> pictures;
  if (spec.vision) pictures = rows_of_pictures(batch.images, *spec.vision);
  std::vector<TrainSequence> sequences;
  for (const TrainSample& sample : batch.samples) {
    sequences.push_back(
        sequence_of(sample, batch.image_token, shown_by(sample, pictures), spec.decoder.rope.by_sections()));
  }
  return sequences;
}

}  // namespace mmprm
