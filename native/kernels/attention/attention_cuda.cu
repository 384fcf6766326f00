#include "kernels/attention/attention_chain.cuh"
#include "kernels/attention/attention_cuda.h"
#include "kernels/attention/attention_sm80.cuh"

namespace mmprm::cuda {
namespace {

template <int kD>
cudaError_t run_mma(const Attend& a, int multiprocessors, cudaStream_t stream) {
  using Shape = AttendShape<kD>;
  const cudaError_t allowed = allow_shared(attend_mma<Shape>, sizeof(typename Shape::Tile));
  if (allowed != cudaSuccess) return allowed;
  const cudaError_t e = launch(attend_mma<Shape>, dim3(2 * multiprocessors), dim3(Shape::kThreads),
                               sizeof(typename Shape::Tile), stream, a);
  if (e != cudaSuccess || a.work.max_merges == 0) return e;
  return launch(merge_partials, dim3(a.work.max_merges, a.heads_H), dim3((a.pages.head_dim_D + 31) / 32 * 32),
                0, stream, a);
}

}  // namespace

cudaError_t attention(const AttentionOp& op, const DevicePlan& plan, const DevicePages& pages,
                      const DeviceAttendWork& work, int multiprocessors, cudaStream_t stream) {
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
                 op.heads_H / pages.heads_G};
  if (a.heads_per_G > kAttendRows || pages.head_dim_D % 2 != 0) return cudaErrorInvalidValue;
  if (pages.dtype == DType::kF32) {
    return launch(attend_chain, dim3(work.max_rows, op.heads_H), dim3(32), sizeof(ChainTile), stream, a);
  }
  switch (pages.padded_D) {
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

}  // namespace mmprm::cuda
