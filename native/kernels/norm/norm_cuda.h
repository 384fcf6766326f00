// norm on CUDA: RMS norm, or layer norm where there is a bias. See NormOp.
#pragma once
#include "cuda/runtime.h"
#include "device/ops.h"

namespace mmprm::cuda {

cudaError_t norm(const NormOp& op, cudaStream_t stream);

}  // namespace mmprm::cuda
