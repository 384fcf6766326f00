// A vision model under training, as the trainer sees it: pictures to rows of the language model, and back.
#pragma once
#include <atomic>
#include <vector>

#include "include/engine/picture.h"
#include "train/train_ops.h"

namespace mmprm {

class TrainTower {
 public:
  virtual ~TrainTower() = default;

  // The rows of all pictures, one picture behind the other (picture_rows.h): [rows, (1 + features) · C of the decoder].
  virtual Tensor forward(const std::vector<PicturePtr>& pictures, const std::atomic<bool>* cancelled) = 0;
  // d_rows: the gradient of forward's result.
  virtual void backward(const Tensor& d_rows, const std::atomic<bool>* cancelled) = 0;
};

}  // namespace mmprm
