#include <algorithm>
#include <map>

#include "device/ops.h"
#include "kernels/attention/attention_work.h"

namespace mmprm::cuda {
namespace {

constexpr int kChunkPages = kChunkTokens / kPageTokens;

int divide_up(int a, int b) { return (a + b - 1) / b; }

// Neighbouring rows of one sequence, at most rows_per_item of them.
struct Block {
  int first, count;  // of the list of rows
  int longest;       // row of the plan
  int first_chunk, end_chunk;

  int chunks() const { return end_chunk - first_chunk; }
};

class Planner {
 public:
  Planner(const StepPlan& plan, std::span<const int32_t> rows, const AttendLimits& limits)
      : plan_(plan), rows_(rows), limits_(limits) {}

  AttendWork run() {
    std::vector<Block> whole, shared;
    for (const Block& b : blocks()) (walks_alone(b) ? whole : shared).push_back(b);
    // Few items would leave multiprocessors idle: then every chunk is one.
    if (int(whole.size()) < limits_.wanted_items) {
      shared.insert(shared.end(), whole.begin(), whole.end());
      whole.clear();
    }
    for (auto b = shared.begin(); b != shared.end();) {
      const int partials = b->count * b->chunks();
      if (b->chunks() > 1 && work_.num_partials + partials <= limits_.max_partials) {
        reserve_partials(*b);
        ++b;
      } else {
        whole.push_back(*b);
        b = shared.erase(b);
      }
    }
    for (const Block& b : whole) add_whole(b);
    add_shared(shared);
    std::stable_sort(work_.items.begin(), work_.items.end(),
                     [](const AttendItem& a, const AttendItem& b) { return a.num_chunks > b.num_chunks; });
    return std::move(work_);
  }

 private:
  const KeyRun& keys(int i) const { return plan_.keys_T[rows_[i]]; }
  int first_chunk(int i) const {
    return limits_.window > 0 ? std::max(0, keys(i).num_keys - limits_.window) / kChunkTokens : 0;
  }

  std::vector<Block> blocks() const {
    std::vector<Block> out;
    for (int i = 0; i < int(rows_.size());) {
      Block b{i, 0, rows_[i], first_chunk(i), 0};
      while (i < int(rows_.size()) && b.count < limits_.rows_per_item &&
             keys(i).first == keys(b.first).first) {
        if (keys(i).num_keys > plan_.keys_T[b.longest].num_keys) b.longest = rows_[i];
        b.first_chunk = std::min(b.first_chunk, first_chunk(i));
        ++b.count, ++i;
      }
      b.end_chunk = divide_up(plan_.keys_T[b.longest].num_keys, kChunkTokens);
      out.push_back(b);
    }
    return out;
  }
  bool walks_alone(const Block& b) const { return b.chunks() == 1 || 2 * b.count >= limits_.rows_per_item; }

  void reserve_partials(const Block& b) {
    for (int i = b.first; i < b.first + b.count; ++i) {
      partials_.resize(rows_.size(), -1);
      partials_[i] = work_.num_partials - b.first_chunk;
      work_.num_partials += b.chunks();
      work_.merges.push_back(row(i));
    }
  }
  AttendRow row(int i) const { return {rows_[i], i, i < int(partials_.size()) ? partials_[i] : 0}; }

  void add_whole(const Block& b) {
    work_.items.push_back({int(work_.rows.size()), b.count, b.first_chunk, b.chunks(), b.longest, 0});
    for (int i = b.first; i < b.first + b.count; ++i) work_.rows.push_back(row(i));
  }

  // Chunk by chunk, blocks with the same pages come together.
  void add_shared(const std::vector<Block>& shared) {
    int chunks = 0;
    for (const Block& b : shared) chunks = std::max(chunks, b.end_chunk);
    for (int chunk = 0; chunk < chunks; ++chunk) {
      std::map<std::vector<int32_t>, std::vector<const Block*>> groups;
      for (const Block& b : shared) {
        if (b.first_chunk <= chunk && chunk < b.end_chunk) groups[pages_of(b, chunk)].push_back(&b);
      }
      for (const auto& [pages, blocks] : groups) add_group(blocks, chunk);
    }
  }
  std::vector<int32_t> pages_of(const Block& b, int chunk) const {
    const KeyRun& run = plan_.keys_T[b.longest];
    const int first = chunk * kChunkPages,
              last = std::min(first + kChunkPages, divide_up(run.num_keys, kPageTokens));
    return {plan_.pages.begin() + run.first + first, plan_.pages.begin() + run.first + last};
  }
  void add_group(const std::vector<const Block*>& blocks, int chunk) {
    AttendItem item;
    for (const Block* b : blocks) {
      std::vector<AttendRow> reaching;
      for (int i = b->first; i < b->first + b->count; ++i) {
        if (keys(i).num_keys > chunk * kChunkTokens && first_chunk(i) <= chunk) reaching.push_back(row(i));
      }
      if (item.num_rows + int(reaching.size()) > limits_.rows_per_item) {
        work_.items.push_back(item);
        item = {};
      }
      if (item.num_rows == 0) item = {int(work_.rows.size()), 0, chunk, 1, b->longest, 1};
      if (plan_.keys_T[b->longest].num_keys > plan_.keys_T[item.longest].num_keys) item.longest = b->longest;
      item.num_rows += int(reaching.size());
      work_.rows.insert(work_.rows.end(), reaching.begin(), reaching.end());
    }
    work_.items.push_back(item);
  }

  const StepPlan& plan_;
  std::span<const int32_t> rows_;
  const AttendLimits& limits_;
  std::vector<int32_t> partials_;  // by place in rows_
  AttendWork work_;
};

}  // namespace

AttendWork plan_attention(const StepPlan& plan, std::span<const int32_t> rows, const AttendLimits& limits) {
  return Planner(plan, rows, limits).run();
}

}  // namespace mmprm::cuda
