// The ops of a CUDA card: each finds its handles' memory and enqueues its kernels.
#include "cuda/cuda_device.h"
#include "kernels/gemm/gemm_cuda.h"
#include "kernels/norm/norm_cuda.h"
#include "kernels/pages/pages_cuda.h"
#include "kernels/pair/pair_cuda.h"
#include "kernels/picture/picture_cuda.h"
#include "kernels/rope/rope_cuda.h"
#include "kernels/rows/rows_cuda.h"

namespace mmprm::cuda {
namespace {

void require(bool condition, const char* what) {
  if (!condition) throw Error(ErrorCode::kInternal, what);
}

}  // namespace

void CudaDevice::prepare_pages(const PreparePagesOp& op) {
  check(cuda::prepare_pages(pool_of(op.pages).pages, staged(op.plan), stream_), "prepare_pages");
}

void CudaDevice::embed(const EmbedOp& op) {
  check(cuda::embed(op, staged(op.plan), tables_.at(op.table.id - 1)->table, stream_), "embed");
}

void CudaDevice::add_image_rows(const AddImageRowsOp& op) {
  check(cuda::add_image_rows(op, staged(op.plan), stream_), "add_image_rows");
}

void CudaDevice::norm(const NormOp& op) { check(cuda::norm(op, stream_), "norm"); }

void CudaDevice::linear(const LinearOp& op) {
  require(op.x.rows == op.y.rows && op.x.cols == op.w.K && op.y.cols == op.w.out_cols() &&
              op.w.gated == (op.epilogue == Epilogue::kSwiglu),
          "a product of tensors that do not fit");
  const PackedLinear& w = *linears_.at(op.w.id - 1);
  require(op.x.dtype == info_.activation(w.dtype), "activations of another dtype than the weights ask for");
  if (op.x.rows == 0) return;
  GemmProblem p;
  p.w = w.weights.as();
  p.x = data_of(op.x);
  p.y = data_of(op.y);
  p.w_stride = w.stride, p.x_stride = op.x.stride, p.y_stride = op.y.stride;
  p.N = w.N, p.K = w.K, p.rows = op.x.rows, p.y_cols = op.y.cols;
  p.bias_N = w.has_bias ? w.bias.as<float>() : nullptr;
  p.column_scale_N = op.column_scale.empty() ? nullptr : data_of<float>(op.column_scale);
  p.dtype = w.dtype, p.y_dtype = op.y.dtype, p.epilogue = op.epilogue;
  if (is_quantized(w.dtype)) {
    reserve_scratch(quant_scratch_bytes(w.quant(), p.rows));
    check(gemm_quant(p, w.quant(), scratch_.as(), stream_), "linear");
    return;
  }
  const GemmConfig config = gemm_config(chip_class_, p.N, p.K, p.dtype, p.rows);
  check(gemm(p, config, multiprocessors_, stream_), "linear");
}

void CudaDevice::rope(const RopeOp& op) {
  check(cuda::rope(op, staged(op.plan), pool_of(op.pages).pages, stream_), "rope");
}

void CudaDevice::attention(const AttentionOp& op) {
  PagePool& pool = pool_of(op.pages);
  require(op.window == 0 || pool.window == 0 || op.window == pool.window, "layers with different windows");
  pool.heads_H = op.heads_H;
  pool.window = std::max(pool.window, op.window);
  if (!(upload_->needs() == needs_of(pool))) {
    require(!recording_, "a recorded step learns the heads of its attention");
    upload_->cut_attention(needs_of(pool));
  }
  const AttendKernel kernel = attend_kernel(chip_class_, pool.pages.dtype, pool.pages.padded_D);
  check(cuda::attention(op, staged(op.plan), pool.pages, upload_->work(op.outputs_only, op.window), kernel,
                        multiprocessors_, stream_),
        "attention");
}

void CudaDevice::gather(const GatherOp& op) { check(cuda::gather(op, staged(op.plan), stream_), "gather"); }

void CudaDevice::pair(const PairOp& op) {
  check(cuda::pair(op, staged(op.plan), tables_.at(op.head.id - 1)->table, stream_), "pair");
}

void CudaDevice::copy(const CopyOp& op) { check(cuda::copy(op, stream_), "copy"); }
void CudaDevice::repeat(const RepeatOp& op) { check(cuda::repeat(op, stream_), "repeat"); }
void CudaDevice::patches(const PatchesOp& op) { check(cuda::patches(op, stream_), "patches"); }
void CudaDevice::fold(const FoldOp& op) { check(cuda::fold(op, stream_), "fold"); }

void CudaDevice::sample(const SampleOp& op) { draws_->run(op); }

}  // namespace mmprm::cuda
