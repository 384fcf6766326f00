#include "engine/prefix_cache.h"

#include <algorithm>

namespace mmprm {
namespace {

constexpr int kFewPages = 16;

}  // namespace

std::pair<int, int> PrefixCache::best_child(int node, std::span<const TokenKey> keys) const {
  std::pair<int, int> best{-1, 0};
  const auto [begin, end] = nodes_[node].children.equal_range(keys[0]);
  for (auto it = begin; it != end; ++it) {
    const Node& child = nodes_[it->second];
    const int most = std::min(child.num_keys, static_cast<int>(keys.size()));
    const int same = static_cast<int>(
        std::mismatch(keys.begin(), keys.begin() + most, child.keys.begin()).first - keys.begin());
    if (same > best.second) best = {it->second, same};
  }
  return best;
}

PrefixMatch PrefixCache::match(std::span<const TokenKey> keys) {
  PrefixMatch out;
  int node = 0;
  while (out.num_tokens < static_cast<int>(keys.size())) {
    const auto [child, same] = best_child(node, keys.subspan(out.num_tokens));
    if (same == 0) break;
    out.num_tokens += same;
    out.pages.push_back(nodes_[child].page);
    out.nodes.push_back(child);
    if (same < kPageTokens) break;
    node = child;
  }
  touch(out.nodes);
  return out;
}

void PrefixCache::publish(std::span<const TokenKey> keys, std::span<const int32_t> pages) {
  std::vector<int> path;
  int node = 0;
  for (size_t at = 0; at < keys.size(); at += kPageTokens) {
    const auto chunk = keys.subspan(at, std::min<size_t>(kPageTokens, keys.size() - at));
    const int32_t page = pages[at / kPageTokens];
    auto [child, same] = best_child(node, chunk);
    if (same < static_cast<int>(chunk.size())) {
      if (child >= 0 && same == nodes_[child].num_keys) {
        extend(child, chunk, page);
      } else {
        child = add_child(node, chunk, page);
      }
    }
    path.push_back(child);
    node = child;
  }
  touch(path);
}

int PrefixCache::add_child(int parent, std::span<const TokenKey> keys, int32_t page) {
  int index;
  if (unused_.empty()) {
    index = static_cast<int>(nodes_.size());
    nodes_.emplace_back();
  } else {
    index = unused_.back();
    unused_.pop_back();
    nodes_[index] = Node{};
  }
  Node& node = nodes_[index];
  node.parent = parent;
  node.page = page;
  node.num_keys = static_cast<int>(keys.size());
  std::copy(keys.begin(), keys.end(), node.keys.begin());
  if (parent != 0 && nodes_[parent].children.empty()) leaves_.erase({nodes_[parent].used, parent});
  nodes_[parent].children.emplace(keys[0], index);
  leaves_.insert({node.used, index});
  pool_.retain(page);
  ++num_pages_;
  return index;
}

// The longer page replaces the shorter one, whose users have references of their own.
void PrefixCache::extend(int index, std::span<const TokenKey> keys, int32_t page) {
  Node& node = nodes_[index];
  pool_.retain(page);
  pool_.release(node.page);
  node.page = page;
  node.num_keys = static_cast<int>(keys.size());
  std::copy(keys.begin(), keys.end(), node.keys.begin());
}

int PrefixCache::num_unpinned_pages() const {
  return static_cast<int>(std::count_if(nodes_.begin(), nodes_.end(), [&](const Node& node) {
    return node.page >= 0 && pool_.references(node.page) == 1;
  }));
}

bool PrefixCache::make_room(int num_free) {
  if (pool_.num_free() >= num_free) return true;
  // WHY not always: counting looks at every node, and a few pages are most often had.
  const bool many = num_free > pool_.num_free() + kFewPages;
  if (many && pool_.num_free() + num_unpinned_pages() < num_free) return false;
  for (auto it = leaves_.begin(); it != leaves_.end() && pool_.num_free() < num_free;) {
    const int leaf = it->second;
    if (pool_.references(nodes_[leaf].page) > 1) {
      ++it;
      continue;
    }
    const auto place = *it;
    remove(leaf);
    // A parent that has become a leaf was used no earlier, so it comes after this place.
    it = leaves_.upper_bound(place);
  }
  return pool_.num_free() >= num_free;
}

void PrefixCache::remove(int index) {
  Node& node = nodes_[index];
  leaves_.erase({node.used, index});
  auto [begin, end] = nodes_[node.parent].children.equal_range(node.keys[0]);
  nodes_[node.parent].children.erase(
      std::find_if(begin, end, [&](const auto& c) { return c.second == index; }));
  if (node.parent != 0 && nodes_[node.parent].children.empty())
    leaves_.insert({nodes_[node.parent].used, node.parent});
  pool_.release(node.page);
  node = Node{};
  unused_.push_back(index);
  --num_pages_;
  ++num_evicted_;
}

void PrefixCache::touch(const std::vector<int>& path) {
  for (auto it = path.rbegin(); it != path.rend(); ++it) {
    Node& node = nodes_[*it];
    const bool leaf = node.children.empty();
    if (leaf) leaves_.erase({node.used, *it});
    node.used = ++clock_;
    if (leaf) leaves_.insert({node.used, *it});
  }
}

void PrefixCache::remember(std::span<const TokenKey> keys, int position, const ReadoutId& readout,
                           std::vector<float> values) {
  const PrefixMatch found = match(keys.first(position + 1));
  if (found.num_tokens <= position || recall(found, position, readout)) return;
  nodes_[found.nodes.back()].scores.push_back({position % kPageTokens, readout, std::move(values)});
}

const std::vector<float>* PrefixCache::recall(const PrefixMatch& match, int position,
                                              const ReadoutId& readout) const {
  if (position >= match.num_tokens) return nullptr;
  for (const Remembered& r : nodes_[match.nodes[position / kPageTokens]].scores) {
    if (r.slot == position % kPageTokens && r.readout == readout) return &r.values;
  }
  return nullptr;
}

}  // namespace mmprm
