// The radix tree of pages against a list of everything that was published.
#include "engine/prefix_cache.h"

#include <algorithm>
#include <map>
#include <random>

#include "harness.h"

namespace mmprm {
namespace {

using Keys = std::vector<TokenKey>;

// Pages of one sequence, published and given back to the tree alone.
std::vector<int32_t> publish(PagePool& pool, PrefixCache& cache, const Keys& keys) {
  std::vector<int32_t> pages;
  for (size_t i = 0; i < keys.size(); i += kPageTokens) pages.push_back(pool.try_allocate());
  cache.publish(keys, pages);
  for (int32_t page : pages) pool.release(page);
  return pages;
}

int common(const Keys& a, const Keys& b) {
  return int(std::mismatch(a.begin(), a.begin() + std::min(a.size(), b.size()), b.begin()).first - a.begin());
}

Keys random_keys(std::mt19937& random, const std::vector<Keys>& earlier, int most) {
  Keys keys;
  if (!earlier.empty()) {
    const Keys& from = earlier[random() % earlier.size()];
    keys.assign(from.begin(), from.begin() + random() % (from.size() + 1));
  }
  const int more = 1 + random() % most;
  for (int i = 0; i < more; ++i) keys.push_back(random() % 3);
  return keys;
}

TEST(prefix_cache_finds_the_longest_beginning) {
  std::mt19937 random(1);
  PagePool pool(100000);
  PrefixCache cache(pool);
  std::vector<Keys> published;
  for (int round = 0; round < 600; ++round) {
    const Keys keys = random_keys(random, published, 70);
    int expected = 0;
    for (const Keys& p : published) expected = std::max(expected, common(keys, p));
    const PrefixMatch match = cache.match(keys);
    CHECK_EQ(match.num_tokens, expected);
    CHECK_EQ(match.pages.size(), size_t(expected + kPageTokens - 1) / kPageTokens);
    publish(pool, cache, keys);
    published.push_back(keys);
    CHECK_EQ(cache.match(keys).num_tokens, int(keys.size()));
    CHECK_EQ(pool.num_pages() - pool.num_free(), cache.num_cached_pages());
  }
  CHECK(cache.make_room(pool.num_pages()));
  CHECK_EQ(cache.num_cached_pages(), 0);
}

TEST(prefix_cache_pages_hold_what_the_match_says) {
  // Slot contents as a model would write them: key and everything before it.
  std::mt19937 random(2);
  PagePool pool(400);
  PrefixCache cache(pool);
  std::vector<Keys> published;
  std::map<int32_t, Keys> content;  // page -> keys of the whole sequence up to its end
  for (int round = 0; round < 3000; ++round) {
    const Keys keys = random_keys(random, published, 90);
    const size_t num_pages = (keys.size() + kPageTokens - 1) / kPageTokens;
    if (num_pages > 60) {
      published.clear();
      continue;
    }
    const PrefixMatch match = cache.match(keys);
    for (size_t p = 0; p < match.pages.size(); ++p) {
      const size_t end = std::min<size_t>((p + 1) * kPageTokens, match.num_tokens);
      const Keys& held = content[match.pages[p]];
      CHECK(held.size() >= end);
      CHECK(std::equal(keys.begin(), keys.begin() + end, held.begin()));
    }
    CHECK(cache.make_room(int(num_pages)));
    std::vector<int32_t> pages;
    for (size_t p = 0; p < num_pages; ++p) {
      pages.push_back(pool.try_allocate());
      content[pages[p]] = Keys(keys.begin(), keys.begin() + std::min(keys.size(), (p + 1) * kPageTokens));
    }
    cache.publish(keys, pages);
    for (int32_t page : pages) pool.release(page);
    published.push_back(keys);
    if (published.size() > 50) published.erase(published.begin());
  }
  CHECK(cache.num_evicted_pages() > 1000);
}

TEST(prefix_cache_evicts_oldest_leaves_and_never_pinned_ones) {
  PagePool pool(12);
  PrefixCache cache(pool);
  const Keys trunk(2 * kPageTokens, 7);
  Keys old = trunk, young = trunk, pinned = trunk;
  old.insert(old.end(), 5, 1);
  young.insert(young.end(), 5, 2);
  pinned.insert(pinned.end(), 5, 3);
  const int32_t pinned_page = publish(pool, cache, pinned).back();
  publish(pool, cache, old);
  publish(pool, cache, young);
  CHECK_EQ(cache.num_cached_pages(), 5);
  pool.retain(pinned_page);
  CHECK(cache.make_room(8));
  CHECK_EQ(cache.match(old).num_tokens, int(trunk.size()));
  CHECK_EQ(cache.match(young).num_tokens, int(young.size()));
  CHECK(cache.make_room(9));
  CHECK_EQ(cache.match(young).num_tokens, int(trunk.size()));
  CHECK_EQ(cache.match(pinned).num_tokens, int(pinned.size()));
  CHECK(!cache.make_room(12));
  pool.release(pinned_page);
  CHECK(cache.make_room(12));
}

TEST(prefix_cache_remembers_scores_by_path) {
  PagePool pool(20);
  PrefixCache cache(pool);
  Keys a(40, 1), b(40, 1);
  b[38] = 2;
  publish(pool, cache, a);
  const ReadoutId pair{Output::kPair, {5, 6}};
  cache.remember(a, 36, pair, {0.25f, 0.5f});
  cache.remember(a, 39, pair, {1, 2});
  CHECK(cache.recall(cache.match(a), 36, pair) != nullptr);
  CHECK_EQ((*cache.recall(cache.match(a), 36, pair))[1], 0.5f);
  CHECK(cache.recall(cache.match(a), 36, {Output::kPair, {5, 7}}) == nullptr);
  CHECK(cache.recall(cache.match(a), 35, pair) == nullptr);
  // b shares a's page up to position 37.
  CHECK(cache.recall(cache.match(b), 36, pair) != nullptr);
  CHECK(cache.recall(cache.match(b), 39, pair) == nullptr);
  CHECK(cache.make_room(20));
  CHECK(cache.recall(cache.match(a), 36, pair) == nullptr);
}

}  // namespace
}  // namespace mmprm
