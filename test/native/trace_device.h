// A device around another one that notes what is asked of it, and finds without a GPU what would break a recorded
// step: an allocation, a read or a write while a graph runs, tensors read before anything wrote them, ops that
// differ between two steps of equal keys.
#pragma once
#include <bit>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "device/address.h"
#include "device/device.h"
#include "harness.h"

namespace mmprm {

class TraceDevice final : public Device {
 public:
  explicit TraceDevice(Device& inner) : inner_(inner) {}

  const std::vector<std::string>& last_ops() const { return ops_; }
  int num_keys() const { return static_cast<int>(recorded_.size()); }
  int num_compared() const { return num_compared_; }

  const DeviceInfo& info() const override { return inner_.info(); }
  uint64_t free_bytes() const override { return inner_.free_bytes(); }

  Tensor allocate(int rows, int cols, DType dtype) override {
    outside("allocate");
    const Tensor t = inner_.allocate(rows, cols, dtype);
    memory_[t.at.value].assign(size_t(t.rows) * t.stride, kNothing);
    return t;
  }
  void release(const Tensor& t) noexcept override {
    memory_.erase(t.at.value);
    inner_.release(t);
  }
  void write(const Tensor& to, const void* rows) override {
    outside("write");
    inner_.write(to, rows);
    mark(to);
  }
  void read(void* rows, const Tensor& from) override {
    outside("read");
    require_written("read", from);
    inner_.read(rows, from);
  }
  Linear pack(std::span<const RowRef> rows, int K, DType as, std::span<const float> bias,
              bool gated) override {
    outside("pack");
    return inner_.pack(rows, K, as, bias, gated);
  }
  Table table(std::span<const RowRef> rows, int cols) override {
    outside("table");
    return inner_.table(rows, cols);
  }
  uint64_t page_bytes(const PageShape& shape) const override { return inner_.page_bytes(shape); }
  Pages pages(const PageShape& shape, int count) override {
    outside("pages");
    return inner_.pages(shape, count);
  }
  void release(const Pages& pages) noexcept override { inner_.release(pages); }
  Staged stage(const StepPlan& plan, const Pages& pages) override {
    outside("stage");
    return inner_.stage(plan, pages);
  }

  void run(const StepKey& key, const std::function<void()>& stop,
           const std::function<void()>& graph) override {
    outside("run");
    forget_last_run();
    ops_.clear();
    running_ = true;
    try {
      inner_.run(key, stop, graph);
    } catch (...) {
      running_ = false;
      throw;
    }
    running_ = false;
    const std::vector<uint64_t> names{key.graph, uint64_t(key.rows), uint64_t(key.outputs),
                                      uint64_t(key.heads), uint64_t(key.pairs)};
    const auto [at, fresh] = recorded_.try_emplace(names, ops_);
    if (fresh) return;
    ++num_compared_;
    CHECK_EQ(at->second.size(), ops_.size());
    for (size_t i = 0; i < ops_.size(); ++i) CHECK_EQ(ops_[i], at->second[i]);
  }

  void prepare_pages(const PreparePagesOp& op) override {
    note("prepare_pages", {}, {}, {op.pages.id});
    inner_.prepare_pages(op);
  }
  void embed(const EmbedOp& op) override {
    // WHY not the slab's rows: most of them belong to nobody.
    note("embed", {op.x}, {}, {op.table.id, op.image_rows.at.value});
    inner_.embed(op);
  }
  void add_image_rows(const AddImageRowsOp& op) override {
    note("add_image_rows", {op.x}, {op.x}, {op.image_rows.at.value, uint64_t(op.outputs_only)});
    inner_.add_image_rows(op);
  }
  void norm(const NormOp& op) override {
    note("norm", {op.y}, {op.x, op.weight, op.bias}, {bits(op.eps)});
    inner_.norm(op);
  }
  void linear(const LinearOp& op) override {
    const Tensor old = op.epilogue == Epilogue::kAccumulate ? op.y : Tensor{};
    note("linear", {op.y}, {op.x, op.column_scale, old}, {op.w.id, uint64_t(op.epilogue)});
    inner_.linear(op);
  }
  void rope(const RopeOp& op) override {
    note("rope", {op.q}, {op.qkv, op.angles, op.q_norm, op.k_norm},
         {op.pages.id, uint64_t(op.first_row), uint64_t(op.layer), uint64_t(op.heads_H), bits(op.q_scale),
          bits(op.norm_eps)});
    inner_.rope(op);
  }
  void attention(const AttentionOp& op) override {
    note("attention", {op.o}, {op.q},
         {op.pages.id, uint64_t(op.layer), uint64_t(op.heads_H), uint64_t(op.outputs_only)});
    inner_.attention(op);
  }
  void gather(const GatherOp& op) override {
    note("gather", {op.y}, {op.x}, {uint64_t(op.list)});
    inner_.gather(op);
  }
  void pair(const PairOp& op) override {
    note("pair", {op.y}, {op.x}, {op.head.id});
    inner_.pair(op);
  }
  void copy(const CopyOp& op) override {
    note("copy", {op.y}, running_ ? std::vector{op.x} : std::vector<Tensor>{}, {});
    inner_.copy(op);
  }
  void repeat(const RepeatOp& op) override {
    note("repeat", {op.y}, {op.x}, {});
    inner_.repeat(op);
  }
  void patches(const PatchesOp& op) override {
    note("patches", {op.y}, {op.pixels}, {uint64_t(op.channels), uint64_t(op.patch_size)});
    inner_.patches(op);
  }
  void fold(const FoldOp& op) override {
    note("fold", {op.y}, {op.x},
         {uint64_t(op.side), uint64_t(op.factor), uint64_t(op.skip), uint64_t(op.transposed)});
    inner_.fold(op);
  }
  void sample(const SampleOp& op) override {
    outside("sample");
    inner_.sample(op);
  }

 private:
  // What an element holds: nothing, something of the last run, or something that lasts.
  enum Contents : uint8_t { kNothing, kOfRun, kLasting };

  static uint64_t bits(float f) { return std::bit_cast<uint32_t>(f); }
  static std::string text(const Tensor& t) {
    std::ostringstream out;
    out << ' ' << t.at.value << '[' << t.rows << ',' << t.cols << ',' << t.stride << ']'
        << dtype_bytes(t.dtype);
    return out.str();
  }

  void outside(const char* call) const {
    if (running_) throw CheckFailed(std::string(call) + " inside a graph");
  }

  void note(const char* name, const std::vector<Tensor>& written, const std::vector<Tensor>& read,
            const std::vector<uint64_t>& numbers) {
    std::string op = name;
    for (const Tensor& t : read) require_written(name, t);
    for (const Tensor& t : written) mark(t);
    for (const Tensor& t : written) op += text(t);
    for (const Tensor& t : read) op += text(t);
    for (uint64_t n : numbers) op.append(" ").append(std::to_string(n));
    ops_.push_back(op);
  }

  template <typename Each>
  void for_elements(const Tensor& t, Each&& each) {
    if (t.empty() || t.rows == 0) return;
    auto at = memory_.upper_bound(t.at.value);
    if (at == memory_.begin()) throw CheckFailed("a tensor in no memory of the device");
    --at;
    const uint64_t first = (t.at.value - at->first) / dtype_bytes(t.dtype);
    for (int64_t r = 0; r < t.rows; ++r) {
      for (int64_t c = 0; c < t.cols; ++c) each(at->second.at(first + r * t.stride + c));
    }
  }
  void mark(const Tensor& t) {
    for_elements(t, [&](uint8_t& contents) {
      if (contents != kLasting || !running_) contents = running_ ? kOfRun : kLasting;
    });
  }
  void require_written(const char* name, const Tensor& t) {
    for_elements(t, [&](uint8_t& contents) {
      if (contents == kNothing) throw CheckFailed(std::string(name) + " reads what nothing has written");
    });
  }
  void forget_last_run() {
    for (auto& [address, elements] : memory_) {
      for (uint8_t& contents : elements) {
        if (contents == kOfRun) contents = kNothing;
      }
    }
  }

  Device& inner_;
  bool running_ = false;
  int num_compared_ = 0;
  std::map<uint64_t, std::vector<uint8_t>> memory_;  // by address, an entry per element
  std::vector<std::string> ops_;
  std::map<std::vector<uint64_t>, std::vector<std::string>> recorded_;
};

}  // namespace mmprm
