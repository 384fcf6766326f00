// Low-rank adapters as they are given to the engine: whose tensors change, and how. What the names and numbers
// of an adapter's config mean is the caller's to know.
#pragma once
#include <string>
#include <vector>

namespace mmprm {

struct AdapterSource {
  // W + scale · B·A for the tensor `target` of the base, [N, K]: A is [rank, K] and B [N, rank].
  struct LowRank {
    std::string target, a, b;
    int rank = 0;
    double scale = 0;
  };
  // The tensor `tensor` stands in the place of the base's `target`.
  struct Replaced {
    std::string target, tensor;
  };
  std::string file;  // safetensors that hold all of them
  std::vector<LowRank> low_rank;
  std::vector<Replaced> replaced;
  // Of a base that is tied to its embedding: its head stays that, whatever stands in the embedding's place.
  bool keeps_head = false;
};

}  // namespace mmprm
