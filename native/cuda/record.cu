// Plans on the device, and steps recorded as graphs: a step of a known key is replayed, its plan having been uploaded to the
// addresses that the recording names.
#include "cuda/cuda_device.h"

namespace mmprm::cuda {
namespace {

constexpr int kMaxRecordedRows = 256;  // longer steps hide their launches behind arithmetic
constexpr size_t kMaxRecordings = 128;

}  // namespace

AttentionNeeds CudaDevice::needs_of(const PagePool& pool) const {
  return {pool.heads_H, pool.pages.heads_G, pool.pages.padded_D, multiprocessors_, pool.window};
}

Staged CudaDevice::stage(const StepPlan& plan, const Pages& pages) {
  const PagePool& pool = pool_of(pages);
  upload_->stage(plan, needs_of(pool));
  return {++staged_id_, plan.num_rows(), plan.num_outputs(), int32_t(plan.head_outputs.size()),
          int32_t(plan.pair_outputs.size())};
}

const DevicePlan& CudaDevice::staged(const Staged& plan) const {
  if (plan.id != staged_id_) throw Error(ErrorCode::kInternal, "a plan was used after the next was staged");
  return upload_->plan();
}

void CudaDevice::run(const StepKey& key, const std::function<void()>& stop,
                     const std::function<void()>& graph) {
  if (stop) stop();  // what is recorded cannot end half way
  if (begin_run(key) == RunMode::kReplayed) return;
  try {
    graph();
  } catch (...) {
    end_run(true);
    throw;
  }
  end_run(false);
}

CudaDevice::RunMode CudaDevice::begin_run(const StepKey& key) {
  recording_ = nullptr;
  if (key.rows > kMaxRecordedRows) return RunMode::kCallGraph;
  if (recorded_generation_ != upload_->generation() || recordings_.size() >= kMaxRecordings)
    drop_recordings();
  recorded_generation_ = upload_->generation();
  Recording& r = recordings_[{key.graph, uint64_t(key.rows), uint64_t(key.outputs), uint64_t(key.heads),
                              uint64_t(key.pairs)}];
  if (r.exec) {
    check(cudaGraphLaunch(r.exec, stream_), "replay of a step");
    return RunMode::kReplayed;
  }
  // WHY not the first time: then attention may still have to learn its heads and window, which allocates and uploads.
  if (r.seen++ == 0) return RunMode::kCallGraph;
  check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "recording of a step");
  recording_ = &r;
  return RunMode::kCallGraph;
}

void CudaDevice::end_run(bool failed) {
  if (!recording_) return;
  Recording& r = *std::exchange(recording_, nullptr);
  cudaGraph_t graph = nullptr;
  const cudaError_t e = cudaStreamEndCapture(stream_, &graph);
  if (!failed && e == cudaSuccess) {
    const cudaError_t made = cudaGraphInstantiate(&r.exec, graph, 0);
    cudaGraphDestroy(graph);
    check(made, "recording of a step");
    check(cudaGraphLaunch(r.exec, stream_), "recording of a step");
    return;
  }
  if (graph) cudaGraphDestroy(graph);
  if (!failed) check(e, "recording of a step");
  cudaGetLastError();
}

void CudaDevice::drop_recordings() {
  for (auto& [key, r] : recordings_) {
    if (r.exec) cudaGraphExecDestroy(r.exec);
  }
  recordings_.clear();
}

}  // namespace mmprm::cuda
