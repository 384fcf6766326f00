#include "engine/request_check.h"

#include <algorithm>

#include "engine/scheduler.h"
#include "models/model_spec.h"

namespace mmprm {
namespace {

[[noreturn]] void reject(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

void check_tokens(const std::vector<int32_t>& tokens, const std::string& where, const EngineInfo& info) {
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

// Returns how many rows all of them have.
size_t check_images(const std::vector<PicturePtr>& images, const EngineInfo& info) {
  size_t rows = 0;
  for (const PicturePtr& image : images) {
    check_image(image.get(), info);
    const int side = info.vision.merge * info.vision.patch_size;  // of a row's pixels; 0: tiles
    rows += side > 0 ? size_t(image->width / side) * (image->height / side)
                     : size_t(image->num_tiles) * info.vision.tokens_per_tile;
  }
  return rows;
}

void check_image_tokens(const std::vector<int32_t>& tokens, int32_t image_token, size_t image_rows,
                        const std::string& where) {
  if (image_rows == 0) return;
  const size_t found = std::count(tokens.begin(), tokens.end(), image_token);
  if (found == image_rows) return;
  reject(where + " has " + std::to_string(found) + " image tokens, its images have " +
         std::to_string(image_rows) + " rows");
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

void check_image(const Picture* image, const EngineInfo& info) {
  if (!info.has_vision) reject("this model reads no images: " + info.architecture + " has no vision part");
  if (!image || image->num_tiles < 1) reject("an image without tiles");
  if (const int unit = info.vision.merge * info.vision.patch_size; unit > 0) {
    if (image->num_tiles == 1 && image->width % unit == 0 && image->height % unit == 0) return;
    reject("a picture of " + std::to_string(image->width) + " x " + std::to_string(image->height) +
           " pixels in " + std::to_string(image->num_tiles) +
           " tiles; this model reads one tile whose sides are multiples of " + std::to_string(unit));
  }
  const int side = info.vision.image_size;
  if (image->width == side && image->height == side) return;
  reject("an image in tiles of " + std::to_string(image->width) + " x " + std::to_string(image->height) +
         " pixels; this model reads " + std::to_string(side) + " x " + std::to_string(side));
}

void check_forward(const ForwardRequest& request, const EngineInfo& info) {
  if (request.sequences.empty()) reject("no sequences");
  if (request.wanted.size() != request.sequences.size())
    reject("one list of positions per sequence is needed");
  check_readout(request, info);
  const size_t image_rows = check_images(request.images, info);
  for (size_t i = 0; i < request.sequences.size(); ++i) {
    const std::string where = "sequence " + std::to_string(i);
    check_tokens(request.sequences[i], where, info);
    check_wanted(request.wanted[i], request.sequences[i].size(), i);
    check_image_tokens(request.sequences[i], request.image_token, image_rows, where);
  }
}

void check_generate(const GenerateRequest& request, const EngineInfo& info, int num_pages) {
  if (info.decoder.num_classes > 0)
    reject("this model has a reward head and no vocabulary head: it writes nothing");
  check_tokens(request.prompt, "the prompt", info);
  check_image_tokens(request.prompt, request.image_token, check_images(request.images, info), "the prompt");
  check_sampling(request.sampling);
  for (int32_t id : request.stop_ids) {
    if (id < 0 || id >= info.decoder.vocab) {
      reject("stop id " + std::to_string(id) + " is not in the vocabulary of " +
             std::to_string(info.decoder.vocab));
    }
  }
  const int num_tokens = static_cast<int>(request.prompt.size());
  const int positions_left = info.decoder.max_positions - num_tokens;
  if (positions_left == 0) {
    reject("the prompt takes all " + std::to_string(num_tokens) +
           " positions of the model: none is left to write");
  }
  if (request.num_samples < 1) reject("n must be at least 1");
  if (request.max_tokens < 1) reject("maxTokens must be at least 1");
  const int max_tokens = std::min(request.max_tokens, positions_left);
  const int most = Scheduler::max_samples(num_pages, num_tokens, max_tokens);
  if (request.num_samples > most) {
    reject("n = " + std::to_string(request.num_samples) + ": the cache for keys and values holds " +
           std::to_string(int64_t{num_pages} * kPageTokens) + " tokens, so " + std::to_string(most) +
           " samples of a prompt of " + std::to_string(num_tokens) + " tokens and up to " +
           std::to_string(max_tokens) + " new ones fit; lower n or maxTokens, or raise kvCacheBytes");
  }
}

}  // namespace mmprm
