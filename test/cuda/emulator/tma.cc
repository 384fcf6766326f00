// TMA: boxes of a matrix between global and shared memory, by an engine of its own. Loads are as late as allowed: when
// nobody can go on; until then their target is NaN. Stores read shared memory when that is waited for, and write 16 bytes
// at a time.
#include "emulator/block.h"
#include "emulator/mbarrier.h"

namespace emu {

namespace {

size_t box_bytes(const TensorMap& m) { return size_t(m.box_inner) * m.element_bytes * m.box_outer; }

// Calls element(global address or null, shared address) for each element of a box; rows have `width` elements.
template <typename Element>
void for_each_element(const TensorMap& m, long width, int inner, int outer, const unsigned char* shared,
                      const Element& element) {
  const uint32_t row_bytes = m.box_inner * m.element_bytes;
  for (uint32_t r = 0; r < m.box_outer; ++r) {
    for (uint32_t c = 0; c < row_bytes; c += m.element_bytes) {
      uintptr_t at = reinterpret_cast<uintptr_t>(shared) + r * row_bytes + c;
      if (m.swizzle_128) at ^= (at >> 7 & 7) << 4;
      const long i = long(inner) + c / m.element_bytes, o = long(outer) + r;
      const bool inside = i >= 0 && o >= 0 && i < width && uint64_t(o) < m.outer;
      const auto* base = static_cast<const unsigned char*>(m.base);
      element(inside ? base + uint64_t(o) * m.stride_bytes + uint64_t(i) * m.element_bytes : nullptr, at);
    }
  }
}

constexpr long kStoreBytes = 16;  // what a store writes whole

// Elements of a row that a store may write: up to the end of the 16 bytes that hold the matrix's last one. Measured on an
// NVIDIA H200; loads end at the last element itself.
long stored_inner(const TensorMap& m) {
  const long piece = kStoreBytes / m.element_bytes;
  return (long(m.inner) + piece - 1) / piece * piece;
}

// The parts of the box's rows that lie inside of a matrix of rows of `width` elements.
template <typename Range>
void for_each_range(const TensorMap& m, long width, int inner, int outer, const Range& range) {
  const long first = std::max(0, inner), last = std::min(width, long(inner) + m.box_inner);
  for (long o = std::max(0, outer); o < std::min(long(m.outer), long(outer) + m.box_outer); ++o) {
    if (first < last)
      range(static_cast<const unsigned char*>(m.base) + uint64_t(o) * m.stride_bytes +
                uint64_t(first) * m.element_bytes,
            size_t(last - first) * m.element_bytes);
  }
}

void check_box(const char* name, const TensorMap& m, int inner, const void* shared) {
  // A card answers with an illegal instruction.
  if (long(inner) * m.element_bytes % 16)
    fail(std::string(name) + ": the first column lies at no multiple of 16 bytes");
  const uintptr_t need = m.swizzle_128 ? 1024 : 128;
  if (reinterpret_cast<uintptr_t>(shared) % need)
    fail(std::string(name) + ": shared memory is not aligned to " + std::to_string(need));
  if (!in_shared(shared, box_bytes(m))) fail(std::string(name) + ": the box leaves shared memory");
}

}  // namespace

void tile_load(void* to, const TensorMap* map, int inner, int outer, uint64_t* bar) {
  require_hopper("TMA load");
  if (!find_mbarrier(bar).fenced) fail("TMA: the barrier was not published by barrier_init_done");
  check_box("TMA load", *map, inner, to);
  mark_write(to, box_bytes(*map));
  Quiet quiet;
  auto op =
      std::make_unique<TileLoad>(TileLoad{static_cast<unsigned char*>(to), *map, inner, outer, bar, {}});
  op->issued.release();
  if (options().async != Async::kEarly) std::memset(to, 0xff, box_bytes(*map));
  block->loads.push_back(std::move(op));
  if (options().async == Async::kEarly) run_tile_load();
}

void run_tile_load() {
  std::unique_ptr<TileLoad> op;
  {
    Quiet quiet;
    const size_t which = options().async == Async::kRandom ? next_random() % block->loads.size() : 0;
    op = std::move(block->loads[which]);
    block->loads.erase(block->loads.begin() + long(which));
  }
  MBarrier& b = find_mbarrier(op->bar);
  block->copy_engine.act([&] {
    op->issued.acquire();
    mark_write(op->to, box_bytes(op->map));
    for_each_range(op->map, long(op->map.inner), op->inner, op->outer,
                   [](const unsigned char* p, size_t n) { mark_read(p, n); });
    Quiet quiet;
    const uint32_t bytes = op->map.element_bytes;
    for_each_element(op->map, long(op->map.inner), op->inner, op->outer, op->to,
                     [&](const unsigned char* global, uintptr_t shared) {
                       void* to = reinterpret_cast<void*>(shared);
                       if (global)
                         std::memcpy(to, global, bytes);
                       else
                         std::memset(to, 0, bytes);
                     });
  });
  block->copy_engine.act([&] {
    b.sync[b.phase & 1].release();
    block->published.release();
  });
  b.transaction_bytes -= long(box_bytes(op->map));
  complete_if_due(b);
}

void proxy_fence() { block->published.release(); }

// ---- stores

namespace {

void read_box(TileStore& op) {
  if (op.read) return;
  op.read = true;
  const size_t bytes = box_bytes(op.map);
  // The engine sees what was fenced; and the fence must have come before the store, by a barrier.
  block->async_proxy.act([&] {
    block->published.acquire();
    mark_read(op.from, bytes);
    op.done.release();
  });
  block->copy_engine.act([&] {
    op.issued.acquire();
    mark_read(op.from, bytes);
    op.done.release();
  });
  Quiet quiet;
  op.box.assign(op.from, op.from + bytes);
}

void write_box(TileStore& op) {
  if (op.written) return;
  op.written = true;
  block->copy_engine.act([&] {
    op.issued.acquire();
    for_each_range(op.map, stored_inner(op.map), op.inner, op.outer,
                   [](const unsigned char* p, size_t n) { mark_write(const_cast<unsigned char*>(p), n); });
    op.done.release();
  });
  Quiet quiet;
  const uint32_t bytes = op.map.element_bytes;
  const uintptr_t from = reinterpret_cast<uintptr_t>(op.from);
  for_each_element(op.map, stored_inner(op.map), op.inner, op.outer, op.from,
                   [&](const unsigned char* global, uintptr_t shared) {
                     if (global)
                       std::memcpy(const_cast<unsigned char*>(global), op.box.data() + (shared - from),
                                   bytes);
                   });
}

}  // namespace

void tile_store(const TensorMap* map, int inner, int outer, const void* from) {
  require_hopper("TMA store");
  check_box("TMA store", *map, inner, from);
  if (inner < 0 || outer < 0) fail("TMA store: the box begins before the matrix");  // an illegal instruction
  Quiet quiet;
  auto op = std::make_shared<TileStore>();
  op->map = *map;
  op->inner = inner;
  op->outer = outer;
  op->from = static_cast<const unsigned char*>(from);
  op->issued.release();
  block->running->stores.open.push_back(op);
  if (early()) {
    read_box(*op);
    write_box(*op);
  }
}

void tile_store_commit() {
  Quiet quiet;
  block->running->stores.commit();
}

void finish_stores(Fiber& f, size_t left, bool written) {
  auto& groups = f.stores.committed;
  for (size_t i = 0; i + left < groups.size(); ++i) {
    for (const std::shared_ptr<TileStore>& op : groups[i]) {
      read_box(*op);
      if (written) write_box(*op);
      op->done.acquire();
    }
  }
  Quiet quiet;
  while (written && groups.size() > left) groups.pop_front();
}

void tile_store_wait(int left, bool written) { finish_stores(*block->running, size_t(left), written); }

}  // namespace emu
