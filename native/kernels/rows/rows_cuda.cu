#include "cuda/rows.h"
#include "kernels/rows/rows_cuda.h"

namespace mmprm::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    embed_rows(float* x, int64_t x_stride, const int32_t* tokens_T, DeviceTable table,
               const float* image_rows, int64_t image_stride) {
  const int32_t token = tokens_T[blockIdx.x];
  float* to = x + blockIdx.x * x_stride;
  for (int c = threadIdx.x; c < table.cols; c += kThreads) {
    to[c] = token < 0 ? image_rows[(-1 - int64_t(token)) * image_stride + c]
                      : load_as_f32(table.data, table.dtype, int64_t(token) * table.stride + c);
  }
}

// `outputs`: which rows of the plan x's are; null: all.
__global__ void __launch_bounds__(kThreads)
    add_rows(float* x, int64_t x_stride, int cols, const int32_t* tokens_T, const int32_t* outputs,
             const float* image_rows, int64_t image_stride) {
  const int32_t token = tokens_T[outputs ? outputs[blockIdx.x] : int(blockIdx.x)];
  if (token >= 0) return;
  float* to = x + blockIdx.x * x_stride;
  const float* from = image_rows + (-1 - int64_t(token)) * image_stride;
  for (int c = threadIdx.x; c < cols; c += kThreads) to[c] += from[c];
}

// Where row i of the result comes from.
struct RowSource {
  const int32_t* list;      // may be null
  const PairOutput* pairs;  // may be null
  int rows;                 // without a list: i mod rows

  __device__ int64_t row(int i) const { return list ? list[i] : pairs ? pairs[i].output : i % rows; }
};

// T: what a thread moves; `cols` of them in a row.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    move_rows(T* y, int64_t y_stride, const T* x, int64_t x_stride, int cols, RowSource source) {
  const T* from = x + source.row(blockIdx.x) * x_stride;
  T* to = y + blockIdx.x * y_stride;
  for (int c = threadIdx.x; c < cols; c += kThreads) to[c] = from[c];
}

template <typename T>
cudaError_t move(const Tensor& y, const Tensor& x, const RowSource& source, cudaStream_t stream) {
  if (y.rows == 0) return cudaSuccess;
  const T* from = data_of<T>(x);
  return launch(move_rows<T>, dim3(y.rows), dim3(kThreads), 0, stream, data_of<T>(y), y.stride, from,
                x.stride, y.cols, source);
}

}  // namespace

cudaError_t embed(const EmbedOp& op, const DevicePlan& plan, const DeviceTable& table, cudaStream_t stream) {
  if (op.x.rows == 0) return cudaSuccess;
  const float* images = data_of<float>(op.image_rows);
  return launch(embed_rows, dim3(op.x.rows), dim3(kThreads), 0, stream, data_of<float>(op.x), op.x.stride,
                plan.tokens_T, table, images, op.image_rows.stride);
}

cudaError_t add_image_rows(const AddImageRowsOp& op, const DevicePlan& plan, cudaStream_t stream) {
  if (op.x.rows == 0) return cudaSuccess;
  const float* images = data_of<float>(op.image_rows);
  return launch(add_rows, dim3(op.x.rows), dim3(kThreads), 0, stream, data_of<float>(op.x), op.x.stride,
                op.x.cols, plan.tokens_T, op.outputs_only ? plan.output_rows : nullptr, images,
                op.image_rows.stride);
}

cudaError_t gather(const GatherOp& op, const DevicePlan& plan, cudaStream_t stream) {
  const RowSource source{op.list == RowList::kOutputs       ? plan.output_rows
                         : op.list == RowList::kHeadOutputs ? plan.head_outputs
                                                            : nullptr,
                         op.list == RowList::kPairOutputs ? plan.pair_outputs : nullptr, 1};
  return move<float>(op.y, op.x, source, stream);
}

cudaError_t copy(const CopyOp& op, cudaStream_t stream) {
  const RowSource same{nullptr, nullptr, op.x.rows > 0 ? op.x.rows : 1};
  return op.y.dtype == DType::kF32 ? move<float>(op.y, op.x, same, stream)
                                   : move<uint16_t>(op.y, op.x, same, stream);
}

cudaError_t repeat(const RepeatOp& op, cudaStream_t stream) {
  return move<float>(op.y, op.x, {nullptr, nullptr, op.x.rows > 0 ? op.x.rows : 1}, stream);
}

}  // namespace mmprm::cuda
