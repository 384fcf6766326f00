// rope on CUDA: rotation, head norms, and the writing of pages. See RopeOp.
#pragma once
#include "cuda/plan.h"

namespace mmprm::cuda {

cudaError_t rope(const RopeOp& op, const DevicePlan& plan, const DevicePages& pages, cudaStream_t stream);

}  // namespace mmprm::cuda
