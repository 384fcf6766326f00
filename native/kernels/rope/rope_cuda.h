// rope on CUDA: rotation, head norms, and the writing of pages. See RopeOp.
#pragma once
#include "cuda/plan.h"

namespace mmprm::cuda {

// Norms over each head of q and of k before the rotation (Qwen3): F32 [D]; null: none.
struct HeadNorms {
  const float *q_D = nullptr, *k_D = nullptr;
  float eps = 0;
};

cudaError_t rope(const RopeOp& op, const HeadNorms& norms, const DevicePlan& plan, const DevicePages& pages,
                 cudaStream_t stream);

}  // namespace mmprm::cuda
