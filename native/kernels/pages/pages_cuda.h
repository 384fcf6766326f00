// Clearing and copying pages on CUDA. See PreparePagesOp.
#pragma once
#include "cuda/plan.h"

namespace mmprm::cuda {

cudaError_t prepare_pages(const DevicePages& pages, const DevicePlan& plan, cudaStream_t stream);

}  // namespace mmprm::cuda
