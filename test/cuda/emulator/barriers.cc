// Barriers of threads (bar.sync), of asynchronous copies (mbarrier), and the per-thread groups of cp.async.
#include "emulator/block.h"
#include "emulator/mbarrier.h"

namespace emu {

void block_barrier(int id, int count, bool wait) {
  if (id < 0 || id > 15) fail("bar.sync: no barrier " + std::to_string(id));
  NamedBarrier& b = block->barriers[id];
  if (count == 0) count = block->num_threads;
  if (count % 32 && count != block->num_threads)
    fail("bar.sync: a number of threads that is no multiple of 32");
  if (b.arrived && b.count != count) fail("bar.sync: threads name different counts");
  b.count = count;
  SyncPoint& sync = b.sync[b.phase & 1];
  sync.release();
  if (++b.arrived == count) {
    b.arrived = 0;
    ++b.phase;
    for (Fiber* f : b.waiting) set_ready(f, true);
    b.waiting.clear();
  } else if (wait) {
    {
      Quiet quiet;
      b.waiting.push_back(block->running);
    }
    set_ready(block->running, false);
    yield("bar.sync");
  }
  if (wait) sync.acquire();
}

// Orders nothing for the race detector: without an atomic on both sides a fence alone makes no order.
void device_fence() {}

// ---- cp.async

namespace {
void finish_copy(const SharedCopy& op) {
  mark_read(op.from, size_t(op.source_bytes));
  mark_write(op.to, size_t(op.bytes));
  Quiet quiet;
  std::memcpy(op.to, op.from, size_t(op.source_bytes));
  std::memset(static_cast<char*>(op.to) + op.source_bytes, 0, size_t(op.bytes - op.source_bytes));
}
}  // namespace

void copy_async(void* to, const void* from, int bytes, int source_bytes) {
  const auto aligned = [&](const void* p) { return reinterpret_cast<uintptr_t>(p) % uintptr_t(bytes) == 0; };
  if (!aligned(to) || !aligned(from)) fail("cp.async: an address is not aligned to 16 bytes");
  if (!in_shared(to, size_t(bytes))) fail("cp.async: the destination is not in shared memory");
  const SharedCopy op{to, from, bytes, source_bytes};
  if (early()) return finish_copy(op);
  mark_write(to, size_t(bytes));
  Quiet quiet;
  std::memset(to, 0xff, size_t(bytes));  // undefined until it is waited for
  block->running->copies.open.push_back(op);
}

void copy_commit() {
  Quiet quiet;
  block->running->copies.commit();
}

void copy_wait(int left) {
  auto& groups = block->running->copies.committed;
  while (int(groups.size()) > left) {
    for (const SharedCopy& op : groups.front()) finish_copy(op);
    Quiet quiet;
    groups.pop_front();
  }
}

// ---- mbarrier

// What the word of a barrier holds here. A card keeps its state there: who writes over it loses arrivals.
constexpr uint64_t kBarrierWord = 0x6d62617272696572;
constexpr int kMostArrivals = (1 << 20) - 1, kMostBytes = (1 << 20) - 1;  // that a barrier can count

MBarrier& find_mbarrier(uint64_t* bar) {
  Quiet quiet;
  const auto it = block->mbarriers.find(bar);
  if (it == block->mbarriers.end()) fail("mbarrier: used before barrier_init");
  if (std::memcmp(bar, &kBarrierWord, sizeof kBarrierWord)) fail("mbarrier: its word was written over");
  return it->second;
}

void complete_if_due(MBarrier& b) {
  if (b.pending != 0 || b.transaction_bytes != 0) return;
  b.pending = b.expected;
  ++b.phase;
  for (Fiber* f : b.waiting) set_ready(f, true);
  b.waiting.clear();
}

void barrier_init(uint64_t* bar, int arrivals) {
  Quiet quiet;
  if (reinterpret_cast<uintptr_t>(bar) % 8) fail("mbarrier: not aligned to 8 bytes");
  if (!in_shared(bar, 8)) fail("mbarrier: not in shared memory");
  if (arrivals < 1 || arrivals > kMostArrivals)
    fail("mbarrier: expects " + std::to_string(arrivals) + " arrivals, not 1 to " +
         std::to_string(kMostArrivals));
  if (block->mbarriers.count(bar)) fail("mbarrier: initialised twice");
  MBarrier& b = block->mbarriers[bar];
  b.expected = b.pending = arrivals;
  std::memcpy(bar, &kBarrierWord, sizeof kBarrierWord);
}

void barrier_init_done() {
  Quiet quiet;
  for (auto& [bar, b] : block->mbarriers) b.fenced = true;
}

void barrier_arrive(uint64_t* bar, int bytes) {
  MBarrier& b = find_mbarrier(bar);
  b.sync[b.phase & 1].release();
  b.transaction_bytes += bytes;
  if (b.transaction_bytes > kMostBytes) fail("mbarrier: more bytes in a phase than it can count");
  if (--b.pending < 0) fail("mbarrier: more arrivals than it expects");
  complete_if_due(b);
}

void barrier_wait(uint64_t* bar, uint32_t parity) {
  MBarrier& b = find_mbarrier(bar);
  while (uint32_t(b.phase & 1) == parity) {
    {
      Quiet quiet;
      b.waiting.push_back(block->running);
    }
    set_ready(block->running, false);
    yield("mbarrier.wait");
  }
  b.sync[parity].acquire();
}

}  // namespace emu
