// Where the device keeps the rows of embedded images: one tensor in blocks of a tile's rows. Grows when every
// block is held.
#pragma once
#include <vector>

#include "device/device.h"

namespace mmprm {

class ImageSlab {
 public:
  ImageSlab(Device& device, int rows_per_tile, int cols)
      : device_(device), rows_per_tile_(rows_per_tile), cols_(cols) {}
  ~ImageSlab() { device_.release(rows_); }
  ImageSlab(const ImageSlab&) = delete;
  ImageSlab& operator=(const ImageSlab&) = delete;

  const Tensor& rows() const { return rows_; }
  int rows_per_tile() const { return rows_per_tile_; }
  size_t tile_bytes() const { return size_t(rows_per_tile_) * cols_ * sizeof(float); }

  // First row of a block whose contents are `tile`, at most rows_per_tile rows of cols.
  int32_t put(const Tensor& tile) {
    if (free_.empty()) grow();
    const int32_t first = free_.back();
    free_.pop_back();
    device_.copy({rows_.part(first, tile.rows), tile});
    return first;
  }
  void take_back(int32_t first_row) { free_.push_back(first_row); }

 private:
  void grow() {
    constexpr int kFirstTiles = 4;
    const int blocks = rows_.rows / rows_per_tile_, wanted = blocks > 0 ? 2 * blocks : kFirstTiles;
    const Tensor larger = device_.allocate(wanted * rows_per_tile_, cols_, DType::kF32);
    if (blocks > 0) device_.copy({larger.part(0, rows_.rows), rows_});
    device_.release(rows_);
    rows_ = larger;
    for (int block = wanted; block > blocks; --block) free_.push_back((block - 1) * rows_per_tile_);
  }

  Device& device_;
  int rows_per_tile_, cols_;
  Tensor rows_;
  std::vector<int32_t> free_;  // first rows; taken from the back
};

}  // namespace mmprm
