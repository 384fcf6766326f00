// Tensors of a graph that grow with the largest step so far and never shrink, and the number that names the
// graph for replay: it changes whenever a tensor moves.
#pragma once
#include <algorithm>
#include <atomic>
#include <map>

#include "device/device.h"

namespace mmprm {

class Workspace {
 public:
  explicit Workspace(Device& device) : device_(device) {}
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  ~Workspace() {
    for (const auto& [address, tensor] : tensors_) device_.release(tensor);
  }

  // `tensor` holds at least `rows` rows from here on; contents are lost when it moves.
  void reserve(Tensor& tensor, int rows, int cols, DType dtype) {
    if (rows <= tensor.rows) return;
    release(tensor);
    tensor = device_.allocate(rows, cols, dtype);
    tensors_[tensor.at.value] = tensor;
    graphs_.clear();
  }
  void release(Tensor& tensor) {
    if (tensor.empty()) return;
    tensors_.erase(tensor.at.value);
    device_.release(tensor);
    tensor = {};
    graphs_.clear();
  }

  // A number of its own for each variant of a graph and the memory from outside that it works
  // on, as long as nothing moves.
  uint64_t graph(const Pages& pages, const Tensor& outside, int variant) {
    static std::atomic<uint64_t> next{1};
    uint64_t& id = graphs_[{pages.id, outside.at.value, variant}];
    if (id == 0) id = next++;
    return id;
  }

 private:
  struct Key {
    uint32_t pages;
    uint64_t outside;
    int variant;
    auto operator<=>(const Key&) const = default;
  };

  Device& device_;
  std::map<uint64_t, Tensor> tensors_;
  std::map<Key, uint64_t> graphs_;
};

// body(first, count) for blocks of rows that stay close between two products.
template <typename Body>
void for_row_blocks(const Device& device, int rows, Body&& body) {
  const int block = device.info().row_block;
  for (int first = 0; first < rows; first += block) body(first, std::min(block, rows - first));
}

}  // namespace mmprm
