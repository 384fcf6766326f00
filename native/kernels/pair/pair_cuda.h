// Two logits a row on CUDA. See PairOp.
#pragma once
#include "cuda/plan.h"

namespace mmprm::cuda {

cudaError_t pair(const PairOp& op, const DevicePlan& plan, const DeviceTable& head, cudaStream_t stream);

}  // namespace mmprm::cuda
