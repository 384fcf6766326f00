// What the pages hold, findable by content: a radix tree whose nodes are pages.
//
// A node's page holds up to kPageTokens consecutive keys; only full ones have children, and no child's keys
// are the beginning of a sibling's. So the longest cached beginning of a sequence is found key by key, and
// may end inside a page. The tree holds one reference to each of its pages. Whoever uses a path holds
// references too, which pins it; when room is needed, unpinned leaves go first, least recently used ones
// before others. Nodes also remember scores read at their positions: a score is a function of the path alone.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "device/pages.h"
#include "engine/page_pool.h"
#include "engine/token_key.h"
#include "include/engine/engine.h"

namespace mmprm {

struct PrefixMatch {
  int num_tokens = 0;
  std::vector<int32_t> pages;  // as many as num_tokens need; the last one may be shared only by copying it
  std::vector<int> nodes;      // of the same length; valid until the tree changes
};

// What was read at a position: which head, and for a pair of tokens which.
struct ReadoutId {
  Output kind = Output::kLogits;
  int pair[2] = {0, 0};
  bool operator==(const ReadoutId&) const = default;
};

class PrefixCache {
 public:
  explicit PrefixCache(PagePool& pool) : pool_(pool), nodes_(1) {}

  // Longest cached beginning of keys; takes no references.
  PrefixMatch match(std::span<const TokenKey> keys);

  // pages[i] holds keys[i * kPageTokens ...]. Known parts stay as they are.
  void publish(std::span<const TokenKey> keys, std::span<const int32_t> pages);

  // Gives up leaves until num_free pages are free; false when too many are pinned, at little or no loss.
  bool make_room(int num_free);

  void remember(std::span<const TokenKey> keys, int position, const ReadoutId& readout,
                std::vector<float> values);
  const std::vector<float>* recall(const PrefixMatch& match, int position, const ReadoutId& readout) const;

  int num_cached_pages() const { return num_pages_; }
  int64_t num_evicted_pages() const { return num_evicted_; }

 private:
  struct Remembered {
    int slot;
    ReadoutId readout;
    std::vector<float> values;
  };
  struct Node {
    int parent = -1;
    int32_t page = -1;
    int num_keys = 0;
    std::array<TokenKey, kPageTokens> keys;
    std::multimap<TokenKey, int> children;  // by their first key
    uint64_t used = 0;                      // rises; a parent's is never below its child's
    std::vector<Remembered> scores;
  };

  // The child that shares most of `keys`, and how many.
  std::pair<int, int> best_child(int node, std::span<const TokenKey> keys) const;
  int add_child(int parent, std::span<const TokenKey> keys, int32_t page);
  void extend(int node, std::span<const TokenKey> keys, int32_t page);
  void remove(int node);
  void touch(const std::vector<int>& path);
  int num_unpinned_pages() const;

  PagePool& pool_;
  std::vector<Node> nodes_;  // 0 is the root, which has no page
  std::vector<int> unused_;  // places in nodes_
  std::set<std::pair<uint64_t, int>> leaves_;
  uint64_t clock_ = 0;
  int num_pages_ = 0;
  int64_t num_evicted_ = 0;
};

}  // namespace mmprm
