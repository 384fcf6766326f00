#include "cuda/plan.h"
#include "cuda/rows.h"
#include "kernels/picture/picture_cuda.h"

namespace mmprm::cuda {
namespace {

constexpr int kThreads = 256;

// A block has one patch.
__global__ void __launch_bounds__(kThreads)
    cut_patches(void* y, DType y_dtype, int64_t y_stride, const float* pixels, int64_t pixel_stride,
                int channels, int size, int patch) {
  const int side = size / patch, tile = blockIdx.x / (side * side), place = blockIdx.x % (side * side);
  const int top = place / side * patch, left = place % side * patch;
  for (int k = threadIdx.x; k < channels * patch * patch; k += kThreads) {
    const int channel = k / (patch * patch), row = top + k / patch % patch, column = left + k % patch;
    const float v = pixels[((int64_t(tile) * channels + channel) * size + row) * pixel_stride + column];
    store_from_f32(y, y_dtype, blockIdx.x * y_stride + k, v);
  }
}

struct Fold {
  void* y;
  const float* x;
  int64_t y_stride, x_stride;
  DType y_dtype;
  int C, side, factor, skip;
  bool transposed;
};

// A block has one row of the result.
__global__ void __launch_bounds__(kThreads) fold_rows(Fold f) {
  const int out_side = f.side / f.factor, rows = out_side * out_side;
  const int tile = blockIdx.x / rows, token = blockIdx.x % rows;
  const int a = token / out_side, b = token % out_side, R = f.transposed ? b : a, Q = f.transposed ? a : b;
  const int64_t first = int64_t(tile) * (f.skip + f.side * f.side) + f.skip;
  for (int i = threadIdx.x; i < f.factor * f.factor * f.C; i += kThreads) {
    const int d = i / f.C, patch = (f.factor * R + d / f.factor) * f.side + f.factor * Q + d % f.factor;
    store_from_f32(f.y, f.y_dtype, blockIdx.x * f.y_stride + i, f.x[(first + patch) * f.x_stride + i % f.C]);
  }
}

}  // namespace

cudaError_t patches(const PatchesOp& op, cudaStream_t stream) {
  if (op.y.rows == 0) return cudaSuccess;
  const float* pixels = data_of<float>(op.pixels);
  return launch(cut_patches, dim3(op.y.rows), dim3(kThreads), 0, stream, data_of(op.y), op.y.dtype,
                op.y.stride, pixels, op.pixels.stride, op.channels, op.pixels.cols, op.patch_size);
}

cudaError_t fold(const FoldOp& op, cudaStream_t stream) {
  if (op.y.rows == 0) return cudaSuccess;
  const Fold f{data_of(op.y), data_of<float>(op.x),
               op.y.stride,   op.x.stride,
               op.y.dtype,    op.x.cols,
               op.side,       op.factor,
               op.skip,       op.transposed};
  return launch(fold_rows, dim3(op.y.rows), dim3(kThreads), 0, stream, f);
}

}  // namespace mmprm::cuda
