// The emulated runtime keeps CUDA's promises, and none that CUDA does not make.
#include "cuda_test.h"

namespace mmprm::cuda {
namespace {

__global__ void add_kernel(const int* from, int* to, int amount) {
  to[threadIdx.x] = from[threadIdx.x] + amount;
}

struct Streamed {
  cudaStream_t stream;
  int* pinned;
  DeviceArray<int> in{32}, out{32};
  Streamed() {
    CUDA_OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    CUDA_OK(cudaMallocHost(&pinned, 32 * sizeof(int)));
    for (int i = 0; i < 32; ++i) pinned[i] = i;
  }
  ~Streamed() {
    cudaStreamDestroy(stream);
    cudaFreeHost(pinned);
  }
  void upload() {
    CUDA_OK(cudaMemcpyAsync(in.data(), pinned, 32 * sizeof(int), cudaMemcpyHostToDevice, stream));
  }
  void add(int amount) {
    CUDA_OK(launch(add_kernel, dim3(1), dim3(32), 0, stream, in.data(), out.data(), amount));
  }
  int first() {
    CUDA_OK(cudaStreamSynchronize(stream));
    return out.at(0);
  }
};

TEST(cuda_streams_run_in_order) {
  Streamed s;
  s.upload();
  s.add(5);
  CHECK_EQ(s.first(), 5);
}

// A pinned buffer belongs to the stream until it is waited for.
TEST(cuda_pinned_buffers_are_read_late) {
  if (emu::options().async != emu::Async::kLate) return;
  Streamed s;
  s.upload();
  s.add(0);
  s.pinned[0] = 77;
  CHECK_EQ(s.first(), 77);
}

TEST(cuda_pageable_memory_is_read_at_once) {
  Streamed s;
  std::vector<int> host(32, 3);
  CUDA_OK(cudaMemcpyAsync(s.in.data(), host.data(), 32 * sizeof(int), cudaMemcpyHostToDevice, s.stream));
  host[0] = 9;
  s.add(0);
  CHECK_EQ(s.first(), 3);
}

// A recording keeps the arguments, and reads memory at every replay.
TEST(cuda_graphs_replay_what_was_recorded) {
  Streamed s;
  CUDA_OK(cudaStreamBeginCapture(s.stream, cudaStreamCaptureModeThreadLocal));
  s.upload();
  int amount = 10;
  s.add(amount);
  amount = 1000;
  cudaGraph_t graph;
  CUDA_OK(cudaStreamEndCapture(s.stream, &graph));
  CHECK_EQ(s.out.at(0), -1);  // recording runs nothing
  cudaGraphExec_t exec;
  CUDA_OK(cudaGraphInstantiate(&exec, graph));
  CUDA_OK(cudaGraphDestroy(graph));
  for (int first : {1, 2}) {
    s.pinned[0] = first;
    CUDA_OK(cudaGraphLaunch(exec, s.stream));
    CHECK_EQ(s.first(), first + 10);
  }
  CUDA_OK(cudaGraphExecDestroy(exec));
}

TEST(cuda_recording_refuses_what_waits_or_allocates) {
  Streamed s;
  CUDA_OK(cudaStreamBeginCapture(s.stream, cudaStreamCaptureModeThreadLocal));
  int* p;
  CHECK_EQ(cudaMalloc(&p, 4), cudaErrorStreamCaptureUnsupported);
  CHECK_EQ(cudaStreamSynchronize(s.stream), cudaErrorStreamCaptureUnsupported);
  cudaGraph_t graph;
  CHECK_EQ(cudaStreamEndCapture(s.stream, &graph), cudaErrorStreamCaptureInvalidated);
  CHECK_EQ(cudaGetLastError(), cudaErrorStreamCaptureInvalidated);
  CHECK_EQ(cudaGetLastError(), cudaSuccess);
}

TEST(cuda_events_order_streams) {
  Streamed a, b;
  cudaEvent_t event;
  CUDA_OK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  a.upload();
  a.add(1);
  CUDA_OK(cudaEventRecord(event, a.stream));
  CUDA_OK(cudaStreamWaitEvent(b.stream, event));
  CUDA_OK(launch(add_kernel, dim3(1), dim3(32), 0, b.stream, a.out.data(), b.out.data(), 1));
  CHECK_EQ(b.first(), 2);
  CUDA_OK(cudaEventDestroy(event));
}

TEST(cuda_copies_stay_inside_and_go_the_way_they_say) {
  DeviceArray<int> d(8);
  std::vector<int> host(16, 1);
  CHECK_EQ(cudaMemcpy(d.data(), host.data(), 9 * sizeof(int), cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  CHECK_EQ(cudaMemcpy(d.data(), host.data(), 4, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
  CHECK_EQ(cudaMemcpy(host.data(), host.data() + 8, 4, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  // Rows of two out of rows of four.
  for (int i = 0; i < 16; ++i) host[size_t(i)] = i;
  CUDA_OK(cudaMemcpy2D(d.data(), 8, host.data(), 16, 8, 4, cudaMemcpyHostToDevice));
  CHECK_EQ(d.at(5), 9);
  cudaGetLastError();
}

TEST(cuda_memory_is_poisoned_and_counted) {
  size_t before, after, total;
  CUDA_OK(cudaMemGetInfo(&before, &total));
  float* p;
  CUDA_OK(cudaMalloc(&p, 64));
  float f;
  CUDA_OK(cudaMemcpy(&f, p, 4, cudaMemcpyDeviceToHost));
  CHECK(std::isnan(f));
  CUDA_OK(cudaFree(p));
  CUDA_OK(cudaMemGetInfo(&after, &total));
  CHECK_EQ(before, after);
  CHECK_EQ(cudaMalloc(&p, total + 1), cudaErrorMemoryAllocation);
  CHECK_EQ(cudaFree(&f), cudaErrorInvalidValue);
  cudaGetLastError();
}

TEST(cuda_launches_are_checked) {
  DeviceArray<int> d(32);
  CHECK_EQ(launch(add_kernel, dim3(1), dim3(2048), 0, nullptr, d.data(), d.data(), 1),
           cudaErrorInvalidConfiguration);
  CHECK_EQ(launch(add_kernel, dim3(1, 65536), dim3(32), 0, nullptr, d.data(), d.data(), 1),
           cudaErrorInvalidConfiguration);
  CHECK_EQ(launch(add_kernel, dim3(1), dim3(32), 64 << 10, nullptr, d.data(), d.data(), 1),
           cudaErrorInvalidValue);
  CUDA_OK(allow_shared(add_kernel, 64 << 10));
  CUDA_OK(launch(add_kernel, dim3(1), dim3(32), 64 << 10, nullptr, d.data(), d.data(), 1));
  CUDA_OK(cudaDeviceSynchronize());
  CUDA_OK(allow_shared(add_kernel, 48 << 10));  // as it was
  cudaGetLastError();
}

}  // namespace
}  // namespace mmprm::cuda
