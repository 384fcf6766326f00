#include "train/batch_check.h"

#include <algorithm>
#include <cmath>

#include "train/picture_rows.h"

namespace mmprm {
namespace {

[[noreturn]] void reject(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

bool is_weight(float w) { return std::isfinite(w) && w >= 0; }

void check_tokens(const TrainSample& sample, const std::string& where, const ModelSpec& spec) {
  if (sample.tokens.empty()) reject(where + " has no tokens");
  if (sample.tokens.size() > size_t(spec.decoder.max_positions)) {
    reject(where + " has " + std::to_string(sample.tokens.size()) + " tokens; the model has " +
           std::to_string(spec.decoder.max_positions) + " positions");
  }
  for (size_t i = 0; i < sample.tokens.size(); ++i) {
    if (sample.tokens[i] >= 0 && sample.tokens[i] < spec.decoder.embed_rows) continue;
    reject(where + ": token " + std::to_string(sample.tokens[i]) + " at position " + std::to_string(i) +
           " is not in the vocabulary of " + std::to_string(spec.decoder.embed_rows));
  }
}

void check_images(const TrainBatch& batch, const TrainSample& sample, const std::string& where,
                  const ModelSpec& spec) {
  size_t rows = 0;
  for (int32_t image : sample.images) {
    if (image < 0 || size_t(image) >= batch.images.size())
      reject(where + ": no image " + std::to_string(image));
    rows += size_t(num_picture_rows(*batch.images[image], *spec.vision));
  }
  const size_t found =
      rows == 0 ? 0 : size_t(std::count(sample.tokens.begin(), sample.tokens.end(), batch.image_token));
  if (found != rows) {
    reject(where + " has " + std::to_string(found) + " image tokens, its images have " +
           std::to_string(rows) + " rows");
  }
}

void check_picture(const Picture* image, const std::string& where, const VisionSpec& spec) {
  if (!image || image->num_tiles < 1) reject(where + " has no tiles");
  const std::string size = std::to_string(image->width) + " x " + std::to_string(image->height) + " pixels";
  if (spec.kind == VisionKind::kPatches) {
    const int unit = spec.patch_size * spec.merge;
    if (image->num_tiles == 1 && image->width % unit == 0 && image->height % unit == 0) return;
    reject(where + " has " + std::to_string(image->num_tiles) + " tiles of " + size +
           "; this model reads one, of sides that are multiples of " + std::to_string(unit));
  }
  const int side = spec.image_size;
  if (image->width == side && image->height == side) return;
  reject(where + " is in tiles of " + size + "; this model reads " + std::to_string(side) + " x " +
         std::to_string(side));
}

void check_token_weights(const TrainSample& sample, const std::string& where, const ModelSpec& spec) {
  if (sample.token_weights.size() != sample.tokens.size()) {
    reject(where + " has " + std::to_string(sample.token_weights.size()) + " token weights for " +
           std::to_string(sample.tokens.size()) + " tokens");
  }
  for (size_t i = 0; i < sample.tokens.size(); ++i) {
    const float w = sample.token_weights[i];
    if (!is_weight(w)) reject(where + ": token weights must be finite and not negative");
    if (w > 0 && sample.tokens[i] >= spec.decoder.vocab_V) {
      reject(where + ": token " + std::to_string(sample.tokens[i]) +
             " is to be predicted, but is no row of the head");
    }
  }
}

void check_markers(const TrainSample& sample, const std::string& where) {
  const size_t n = sample.markers.size();
  if (sample.labels.size() != n || sample.marker_weights.size() != n) {
    reject(where + " has " + std::to_string(n) + " markers, " + std::to_string(sample.labels.size()) +
           " labels and " + std::to_string(sample.marker_weights.size()) + " marker weights");
  }
  for (size_t i = 0; i < n; ++i) {
    const int32_t at = sample.markers[i];
    if (at < 0 || size_t(at) >= sample.tokens.size() || (i > 0 && at <= sample.markers[i - 1])) {
      reject(where + ": markers must be rising positions among its tokens");
    }
    if (!(sample.labels[i] >= 0 && sample.labels[i] <= 1)) {
      reject(where + ": label " + std::to_string(sample.labels[i]) + " of marker " + std::to_string(i) +
             " is not between 0 and 1");
    }
    if (!is_weight(sample.marker_weights[i]))
      reject(where + ": marker weights must be finite and not negative");
  }
}

void check_preference(const Preference& p) {
  if (!(std::isfinite(p.beta) && p.beta > 0)) reject("beta of a preference loss must be above 0");
  if (!(p.label_smoothing >= 0 && p.label_smoothing < 0.5))
    reject("label smoothing of a preference loss must be from 0 up to, not including, 0.5");
  if (!(std::isfinite(p.chosen_weight) && p.chosen_weight >= 0))
    reject("the weight of the preferred answers must be finite and not negative");
}

void check_answer(const TrainSample& sample, const std::string& where, const ModelSpec& spec) {
  check_token_weights(sample, where, spec);
  const auto predicted = [](float w) { return w > 0; };
  if (std::none_of(sample.token_weights.begin() + 1, sample.token_weights.end(), predicted))
    reject(where + " predicts no token: an answer is needed");
  if (!std::isfinite(sample.reference)) reject(where + ": its reference must be finite");
}

void check_sample(const TrainSample& sample, TrainTask task, const std::string& where,
                  const ModelSpec& spec) {
  switch (task) {
    case TrainTask::kTokens:
      return check_token_weights(sample, where, spec);
    case TrainTask::kMarkers:
      return check_markers(sample, where);
    case TrainTask::kPairs:
      return check_answer(sample, where, spec);
  }
}

}  // namespace

void check_batch(const TrainBatch& batch, const ModelSpec& spec) {
  if (batch.samples.empty()) reject("a batch without samples");
  if (!batch.images.empty() && !spec.vision) reject("this model reads no images: it has no vision part");
  for (size_t i = 0; i < batch.images.size(); ++i)
    check_picture(batch.images[i].get(), "image " + std::to_string(i), *spec.vision);
  const bool has_reward_head = spec.decoder.reward_head != RewardHead::kNone;
  if (batch.task != TrainTask::kMarkers && has_reward_head)
    reject("this model has a reward head in the vocabulary's place: it learns scores of steps, no tokens");
  if (!is_weight(float(batch.rank.weight)) || !is_weight(float(batch.rank.margin)))
    reject("weight and margin of a rank loss must be finite and not negative");
  if (batch.task == TrainTask::kMarkers && !has_reward_head) {
    for (int32_t id : batch.pair) {
      if (id < 0 || id >= spec.decoder.vocab_V)
        reject("reward token " + std::to_string(id) + " is no row of the head");
    }
  }
  if (batch.task == TrainTask::kPairs) {
    check_preference(batch.preference);
    if (batch.samples.size() % 2 != 0) reject("a batch of pairs with an odd number of samples");
  }
  for (size_t s = 0; s < batch.samples.size(); ++s) {
    const std::string where = "sample " + std::to_string(s) + " of the batch";
    check_tokens(batch.samples[s], where, spec);
    check_images(batch, batch.samples[s], where, spec);
    check_sample(batch.samples[s], batch.task, where, spec);
  }
}

}  // namespace mmprm
