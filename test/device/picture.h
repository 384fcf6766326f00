// Golden pictures as a model reads them: from the file in its folder, by the engine's own makers.
#pragma once
#include <string>

#include "include/engine/engine.h"

namespace mmprm::golden {

class PictureMaker {
 public:
  explicit PictureMaker(const std::string& model_folder);

  // `max_tiles`: 0 for models that read whole pictures.
  PicturePtr make(const std::string& file, int max_tiles) const;
  // Rows of the language model that stand for it.
  int num_tokens(const Picture& picture) const;

 private:
  std::string folder_;
  VisionInfo vision_;
  int min_tiles_ = 1;
  std::array<float, 3> mean_, std_;
};

}  // namespace mmprm::golden
