#include "cuda/rows.h"
#include "kernels/pair/pair_cuda.h"

namespace mmprm::cuda {
namespace {

constexpr int kWarps = 4, kThreads = kWarps * 32;

// A block per logit; a thread adds elements i, i + kThreads … in double.
__global__ void __launch_bounds__(kThreads)
    pair_logits(float* y, int64_t y_stride, const float* x, int64_t x_stride, DeviceTable head,
                const PairOutput* pairs) {
  double* parts = dynamic_shared<double>();
  const int row = blockIdx.x, which = blockIdx.y;
  const int64_t w = int64_t(pairs[row].ids[which]) * head.stride;
  double sum = 0;
  for (int c = threadIdx.x; c < head.cols; c += kThreads) {
    sum = __fma_rn(double(x[row * x_stride + c]), double(load_as_f32(head.data, head.dtype, w + c)), sum);
  }
  sum = sum_of_block<kWarps>(sum, parts);
  if (threadIdx.x == 0) y[row * y_stride + which] = float(sum);
}

}  // namespace

cudaError_t pair(const PairOp& op, const DevicePlan& plan, const DeviceTable& head, cudaStream_t stream) {
  if (op.y.rows == 0) return cudaSuccess;
  const float* x = data_of<float>(op.x);
  return launch(pair_logits, dim3(op.y.rows, 2), dim3(kThreads), kWarps * sizeof(double), stream,
                data_of<float>(op.y), op.y.stride, x, op.x.stride, head, plan.pair_outputs);
}

}  // namespace mmprm::cuda
