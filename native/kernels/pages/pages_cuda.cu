#include "cuda/ptx.h"
#include "kernels/pages/pages_cuda.h"

namespace mmprm::cuda {
namespace {

constexpr int kThreads = 128;

// A thread owns 16 bytes of every page of a layer and walks through all operations: so each byte sees them in order,
// and no thread waits for another.
__global__ void __launch_bounds__(kThreads) apply_page_ops(uint4* data, int64_t layer_parts, int page_parts,
                                                           const PageOp* ops, const int32_t* num_ops) {
  const int part = blockIdx.x * kThreads + threadIdx.x;
  if (part >= page_parts) return;
  uint4* layer = data + blockIdx.y * layer_parts + part;
  for (int i = 0; i < *num_ops; ++i) {
    const PageOp op = ops[i];
    layer[int64_t(op.to) * page_parts] =
        op.from < 0 ? uint4{0, 0, 0, 0} : layer[int64_t(op.from) * page_parts];
  }
}

}  // namespace

cudaError_t prepare_pages(const DevicePages& pages, const DevicePlan& plan, cudaStream_t stream) {
  const int64_t bytes = int64_t(dtype_bytes(pages.dtype));
  const int page_parts = int(pages.page_elements() * bytes / 16);
  return launch(apply_page_ops, dim3((page_parts + kThreads - 1) / kThreads, pages.layers), dim3(kThreads), 0,
                stream, reinterpret_cast<uint4*>(pages.data), pages.layer_elements() * bytes / 16, page_parts,
                plan.page_ops, plan.num_page_ops);
}

}  // namespace mmprm::cuda
