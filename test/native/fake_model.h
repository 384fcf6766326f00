// Stands in for decoder and memory in tests of the scheduler: a slot holds its key and a hash of the whole
// path up to it, so a row that sees a wrong, stale or overwritten key anywhere gets a wrong hash.
#pragma once
#include <vector>

#include "engine/step.h"
#include "harness.h"

namespace mmprm {

inline uint64_t mix(uint64_t hash, uint64_t key) {
  hash = (hash ^ key) * 0x9E3779B97F4A7C15ull;
  return hash ^ (hash >> 29);
}

inline uint64_t hash_of(const std::vector<TokenKey>& keys, size_t num_keys) {
  uint64_t hash = 1;
  for (size_t i = 0; i < num_keys; ++i) hash = mix(hash, keys[i]);
  return hash;
}

class FakeModel {
 public:
  explicit FakeModel(int num_pages) : slots_(size_t(num_pages) * kPageTokens) {}

  // The path hash of each output row.
  std::vector<uint64_t> run(const Step& step) {
    for (const PageOp& op : step.plan.page_ops) {
      for (int s = 0; s < kPageTokens; ++s) at(op.to, s) = op.from < 0 ? Slot{} : at(op.from, s);
    }
    const StepPlan& plan = step.plan;
    std::vector<uint64_t> hashes;
    for (int t = 0; t < plan.num_rows(); ++t) {
      const int position = plan.positions_T[t];
      const std::span<const int32_t> seen = std::span(plan.pages).subspan(plan.keys_T[t].first);
      CHECK_EQ(plan.keys_T[t].num_keys, position + 1);
      const int32_t token = plan.tokens_T[t];
      const TokenKey key = token < 0 ? step.image_rows[-1 - token] : text_key(token);
      const uint64_t hash = mix(position > 0 ? seen_at(seen, position - 1).hash : 1, key);
      for (int i = plan.slot_begin_T1[t]; i < plan.slot_begin_T1[t + 1]; ++i) {
        at(plan.slots[i].page, plan.slots[i].slot) = {key, hash};
      }
      check_path(seen, position + 1, hash);
      hashes.push_back(hash);
    }
    std::vector<uint64_t> outputs;
    for (int32_t row : plan.output_rows) outputs.push_back(hashes[row]);
    return outputs;
  }

 private:
  struct Slot {
    TokenKey key = 0;
    uint64_t hash = 0;
  };

  Slot& at(int32_t page, int slot) { return slots_[size_t(page) * kPageTokens + slot]; }
  Slot& seen_at(std::span<const int32_t> seen, int position) {
    return at(seen[position / kPageTokens], position % kPageTokens);
  }

  void check_path(std::span<const int32_t> seen, int num_keys, uint64_t last) {
    uint64_t hash = 1;
    for (int i = 0; i < num_keys; ++i) {
      hash = mix(hash, seen_at(seen, i).key);
      CHECK_EQ(seen_at(seen, i).hash, hash);
    }
    CHECK_EQ(hash, last);
  }

  std::vector<Slot> slots_;
};

}  // namespace mmprm
