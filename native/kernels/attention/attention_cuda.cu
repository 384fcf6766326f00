#include "kernels/attention/attention_chain.cuh"
#include "kernels/attention/attention_cuda.h"
#include "kernels/attention/attention_sm80.cuh"
#include "kernels/attention/attention_sm90.cuh"

namespace mmprm::cuda {
namespace {

cudaError_t merge_if_cut(const Attend& a, cudaStream_t stream) {
  if (a.work.max_merges == 0) return cudaSuccess;
  return launch(merge_partials, dim3(a.work.max_merges, a.heads_H), dim3((a.pages.head_dim_D + 31) / 32 * 32),
                0, stream, a);
}

template <int kD>
cudaError_t run_mma(const Attend& a, int multiprocessors, cudaStream_t stream) {
  using Shape = AttendShape<kD>;
  cudaError_t e = allow_shared(attend_mma<Shape>, sizeof(typename Shape::Tile));
  if (e != cudaSuccess) return e;
  e = launch(attend_mma<Shape>, dim3(2 * multiprocessors), dim3(Shape::kThreads),
             sizeof(typename Shape::Tile), stream, a);
  return e != cudaSuccess ? e : merge_if_cut(a, stream);
}

cudaError_t run_mma(const Attend& a, int multiprocessors, cudaStream_t stream) {
  switch (a.pages.padded_D) {
    case 16:
      return run_mma<16>(a, multiprocessors, stream);
    case 64:
      return run_mma<64>(a, multiprocessors, stream);
    case 80:
      return run_mma<80>(a, multiprocessors, stream);
    case 128:
      return run_mma<128>(a, multiprocessors, stream);
    default:
      return cudaErrorInvalidValue;
  }
}

template <int kD>
cudaError_t run_wgmma(const Attend& a, int multiprocessors, cudaStream_t stream) {
  using Shape = AttendWgmmaShape<kD>;
  const DevicePages& p = a.pages;
  TensorMap map;
  cudaError_t e =
      make_tensor_map(&map, p.data,
                      {TileElement::kBF16, uint64_t(kD), uint64_t(p.layers) * p.layer_elements() / kD,
                       uint64_t(kD) * sizeof(bf16), kSwizzledRow, kPageTokens, true});
  if (e != cudaSuccess) return e;
  e = allow_shared(attend_wgmma<Shape>, sizeof(typename Shape::Tile));
  if (e != cudaSuccess) return e;
  e = launch(attend_wgmma<Shape>, dim3(multiprocessors), dim3(Shape::kThreads), sizeof(typename Shape::Tile),
             stream, a, map);
  return e != cudaSuccess ? e : merge_if_cut(a, stream);
}

cudaError_t run_wgmma(const Attend& a, int multiprocessors, cudaStream_t stream) {
  switch (a.pages.padded_D) {
    case 64:
      return run_wgmma<64>(a, multiprocessors, stream);
    case 128:
      return run_wgmma<128>(a, multiprocessors, stream);
    default:
      return cudaErrorInvalidValue;
  }
}

}  // namespace

AttendKernel attend_kernel(ChipClass chip, DType pages, int padded_D) {
  if (pages == DType::kF32) return AttendKernel::kChain;
  const bool swizzled = padded_D == 64 || padded_D == 128;
  return chip == ChipClass::kSm90 && swizzled ? AttendKernel::kWgmma : AttendKernel::kMma;
}

cudaError_t attention(const AttentionOp& op, const DevicePlan& plan, const DevicePages& pages,
                      const DeviceAttendWork& work, AttendKernel kernel, int multiprocessors,
                      cudaStream_t stream) {
  if (op.o.rows == 0) return cudaSuccess;
  const Attend a{data_of(op.q),
                 data_of(op.o),
                 op.q.stride,
                 op.o.stride,
                 plan.pages,
                 plan.keys_T,
                 pages,
                 work,
                 op.layer,
                 op.heads_H,
                 op.heads_H / pages.heads_G,
                 op.window > 0 ? op.window : kNoWindow};
  if (a.heads_per_G > kAttendRows || pages.head_dim_D % 2 != 0) return cudaErrorInvalidValue;
  if ((kernel == AttendKernel::kChain) != (pages.dtype == DType::kF32)) return cudaErrorInvalidValue;
  switch (kernel) {
    case AttendKernel::kChain:
      return launch(attend_chain, dim3(work.max_rows, op.heads_H), dim3(32), sizeof(ChainTile), stream, a);
    case AttendKernel::kMma:
      return run_mma(a, multiprocessors, stream);
    case AttendKernel::kWgmma:
      return run_wgmma(a, multiprocessors, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace mmprm::cuda
