// Moving rows on CUDA: embed, gather, copy, repeat. See device/ops.h.
#pragma once
#include "cuda/plan.h"

namespace mmprm::cuda {

cudaError_t embed(const EmbedOp& op, const DevicePlan& plan, const DeviceTable& table, cudaStream_t stream);
cudaError_t add_image_rows(const AddImageRowsOp& op, const DevicePlan& plan, cudaStream_t stream);
cudaError_t gather(const GatherOp& op, const DevicePlan& plan, cudaStream_t stream);
cudaError_t copy(const CopyOp& op, cudaStream_t stream);
cudaError_t repeat(const RepeatOp& op, cudaStream_t stream);

}  // namespace mmprm::cuda
