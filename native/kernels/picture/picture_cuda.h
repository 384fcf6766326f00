// Patches of pictures and their folding on CUDA. See PatchesOp, FoldOp.
#pragma once
#include "cuda/runtime.h"
#include "device/ops.h"

namespace mmprm::cuda {

cudaError_t patches(const PatchesOp& op, cudaStream_t stream);
cudaError_t fold(const FoldOp& op, cudaStream_t stream);

}  // namespace mmprm::cuda
