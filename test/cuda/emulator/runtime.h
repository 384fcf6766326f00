// Inside the emulated runtime: what streams and memory know of each other.
#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "emulator/cuda_runtime.h"

struct CUgraph_st {
  std::vector<std::function<void()>> ops;
};
struct CUgraphExec_st {
  std::shared_ptr<const std::vector<std::function<void()>>> ops;
};

namespace emu {

cudaError_t result(cudaError_t e);  // remembered for cudaGetLastError

// Puts work into a stream, or into what it records.
cudaError_t enqueue(cudaStream_t stream, std::function<void()> run);
bool any_capture();
void drain_all();
bool is_capturing(cudaStream_t stream);
// Runs the stream's work so far; an error where it records.
cudaError_t drain(cudaStream_t stream);

enum class Memory { kPageable, kPinned, kDevice };
// Where a range lies; false where it begins in an allocation and leaves it.
bool find_memory(const void* p, size_t bytes, Memory* kind);

}  // namespace emu
