#include "engine/request_check.h"

#include <algorithm>

namespace mmprm {
namespace {

[[noreturn]] void reject(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

void check_tokens(const std::vector<int32_t>& tokens, size_t index, const EngineInfo& info) {
  const std::string where = "sequence " + std::to_string(index);
  if (tokens.empty()) reject(where + " has no tokens");
  if (tokens.size() > size_t(info.decoder.max_positions)) {
    reject(where + " has " + std::to_string(tokens.size()) + " tokens; the model has " +
           std::to_string(info.decoder.max_positions) + " positions");
  }
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] >= 0 && tokens[i] < info.decoder.embed_rows) continue;
    reject(where + ": token " + std::to_string(tokens[i]) + " at position " + std::to_string(i) +
           " is not in the vocabulary of " + std::to_string(info.decoder.embed_rows));
  }
}

void check_wanted(const std::vector<int32_t>& wanted, size_t num_tokens, size_t index) {
  for (int32_t position : wanted) {
    if (position >= 0 && size_t(position) < num_tokens) continue;
    reject("sequence " + std::to_string(index) + ": no position " + std::to_string(position) + " among " +
           std::to_string(num_tokens) + " tokens");
  }
}

void check_readout(const ForwardRequest& request, const EngineInfo& info) {
  const bool has_classes = info.decoder.num_classes > 0;
  if ((request.output == Output::kClasses) != has_classes) {
    reject(has_classes ? "this model has a reward head and no vocabulary head: ask for classes"
                       : "this model has no reward head: ask for logits or a pair");
  }
  if (request.output != Output::kPair) return;
  for (int32_t id : request.pair) {
    if (id < 0 || id >= info.decoder.vocab)
      reject("reward token " + std::to_string(id) + " is not a row of the head");
  }
}

}  // namespace

void check_image(const ImageTiles& image, const EngineInfo& info) {
  if (!info.has_vision) reject("this model reads no images: " + info.architecture + " has no vision part");
  const size_t expected = size_t(image.num_tiles) * 3 * info.vision.image_size * info.vision.image_size;
  if (image.num_tiles < 1 || image.pixels.size() != expected) {
    reject("an image of " + std::to_string(image.num_tiles) + " tiles needs " + std::to_string(expected) +
           " pixel values, got " + std::to_string(image.pixels.size()));
  }
}

void check_forward(const ForwardRequest& request, const EngineInfo& info) {
  if (request.sequences.empty()) reject("no sequences");
  if (request.wanted.size() != request.sequences.size())
    reject("one list of positions per sequence is needed");
  check_readout(request, info);
  size_t image_rows = 0;
  for (const ImageTiles& image : request.images) {
    check_image(image, info);
    image_rows += size_t(image.num_tiles) * info.vision.tokens_per_tile;
  }
  for (size_t i = 0; i < request.sequences.size(); ++i) {
    const std::vector<int32_t>& tokens = request.sequences[i];
    check_tokens(tokens, i, info);
    check_wanted(request.wanted[i], tokens.size(), i);
    if (request.images.empty()) continue;
    const size_t found = std::count(tokens.begin(), tokens.end(), request.image_token);
    if (found != image_rows) {
      reject("sequence " + std::to_string(i) + " has " + std::to_string(found) +
             " image tokens, its images have " + std::to_string(image_rows) + " rows");
    }
  }
}

}  // namespace mmprm
