// Draws on their way to a card and back: one upload, mostly one launch, and ids with log-probabilities that return.
#pragma once
#include <vector>

#include "cuda/memory.h"
#include "kernels/sample/sample_cuda.h"

namespace mmprm::cuda {

// Draws as lists for the kernel. Draws that want the same distribution share it: siblings at their first token.
struct DrawLists {
  std::vector<std::vector<SampleShape>>
      waves;                   // WHY several: a launch may touch a row of logits in one place only
  std::vector<int32_t> order;  // by place in the lists: which draw
  std::vector<uint64_t> uniform_parts;
  std::vector<int32_t> repeated;
  std::vector<TokenCount> generated;

  explicit DrawLists(const SampleOp& op);
};

class TokenDraws {
 public:
  explicit TokenDraws(cudaStream_t stream) : stream_(stream) {}

  void run(const SampleOp& op);  // waits

 private:
  cudaStream_t stream_;
  PinnedMemory pinned_, pinned_results_;
  DeviceMemory lists_, saved_, results_;
};

}  // namespace mmprm::cuda
