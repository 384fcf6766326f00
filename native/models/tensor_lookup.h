// Finds the tensors of a checkpoint by name and shape and keeps the account: what was asked for and absent,
// what has another shape or dtype than the config says, what nobody asked for. All of it becomes one error.
#pragma once
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"
#include "models/weight_table.h"

namespace mmprm {

struct WantedTensor {
  std::string name;
  std::vector<int64_t> shape;
};

class TensorLookup {
 public:
  // Names are taken without the "base_model.model." and ".base_layer" that PEFT puts in. Throws
  // kUnsupportedModel where adapters are stored apart, kInvalidModel where two names become one.
  explicit TensorLookup(const Checkpoint& checkpoint);

  const TensorView* find(const std::string& name) const;  // keeps no account
  bool has(const std::string& name) const { return find(name) != nullptr; }

  // The first of `candidates` for which candidate + `probe` is stored; the first of all where none is.
  std::string pick_prefix(const std::vector<std::string>& candidates, const std::string& probe) const;

  // Null where absent or wrong, which finish() then reports. Leading extents of 1 do not count.
  // `hint` is put behind a complaint about the shape.
  const TensorView* want(const std::string& name, const std::vector<int64_t>& shape,
                         const std::string& hint = "");

  struct Part {
    std::string name;
    int rows;
  };
  // One below the other, all with `cols` columns.
  MatrixSource stacked(const std::vector<Part>& parts, int cols);
  MatrixSource matrix(const std::string& name, int rows, int cols, const std::string& hint = "");
  VectorSource joined(const std::vector<Part>& parts);
  VectorSource vector(const std::string& name, int size) { return joined({{name, size}}); }

  // Asked for by nobody, and no reason to complain.
  void ignore(const std::string& name) { used_.insert(name); }

  // Throws kInvalidModel listing every missing, wrong and unexpected tensor.
  void finish() const;

  // Everything that was asked for, in that order.
  const std::vector<WantedTensor>& wanted() const { return wanted_; }

 private:
  std::string folder_;
  std::map<std::string, const TensorView*> tensors_;
  std::set<std::string> used_;
  std::vector<std::string> missing_, wrong_;
  std::vector<WantedTensor> wanted_;
};

// Buffers that older versions saved and that follow from the config, and the token of masked pre-training.
bool is_leftover(std::string_view name);

// Appends rows [first, first + count) of a stored matrix.
void append_rows(MatrixSource& out, const TensorView& view, int64_t first, int count);
// Appends elements [first, first + count) of a stored vector.
void append_elements(VectorSource& out, const TensorView& view, int64_t first, int count);

}  // namespace mmprm
