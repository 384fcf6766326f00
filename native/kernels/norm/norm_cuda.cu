#include "cuda/plan.h"
#include "cuda/rows.h"
#include "kernels/norm/norm_cuda.h"

namespace mmprm::cuda {
namespace {

constexpr int kWarps = 8, kThreads = kWarps * 32;

struct NormRows {
  const float *x, *weight_C, *bias_C;
  void* y;
  int64_t x_stride, y_stride;
  DType y_dtype;
  int C;
  float eps;
};

// A block has one row, a thread elements i, i + kThreads …, whatever their number: one tree of sums per row length.
// y may be x: each element is read and written by its own thread.
__global__ void __launch_bounds__(kThreads) norm_rows(NormRows n) {
  float* parts = dynamic_shared<float>();
  const float* x = n.x + blockIdx.x * n.x_stride;
  const int64_t y_at = blockIdx.x * n.y_stride;
  float mean = 0;
  if (n.bias_C) {
    float sum = 0;
    for (int c = threadIdx.x; c < n.C; c += kThreads) sum += x[c];
    mean = sum_of_block<kWarps>(sum, parts) / float(n.C);
  }
  float squares = 0;
  for (int c = threadIdx.x; c < n.C; c += kThreads) {
    const float v = x[c] - mean;
    squares = __fmaf_rn(v, v, squares);
  }
  const float scale = 1.0f / __fsqrt_rn(sum_of_block<kWarps>(squares, parts) / float(n.C) + n.eps);
  for (int c = threadIdx.x; c < n.C; c += kThreads) {
    const float v = (x[c] - mean) * scale;
    store_from_f32(n.y, n.y_dtype, y_at + c,
                   n.bias_C ? __fmaf_rn(v, n.weight_C[c], n.bias_C[c]) : v * n.weight_C[c]);
  }
}

}  // namespace

cudaError_t norm(const NormOp& op, cudaStream_t stream) {
  if (op.y.rows == 0) return cudaSuccess;
  const NormRows n{data_of<float>(op.x),
                   data_of<float>(op.weight),
                   data_of<float>(op.bias),
                   data_of(op.y),
                   op.x.stride,
                   op.y.stride,
                   op.y.dtype,
                   op.x.cols,
                   op.eps};
  return launch(norm_rows, dim3(op.y.rows), dim3(kThreads), kWarps * sizeof(float), stream, n);
}

}  // namespace mmprm::cuda
