// Fibers and blocks: stacks, switches, who runs next, and a grid of blocks.
#include "emulator/block.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

// Saves what the ABI says a call keeps, swaps stacks.
asm(R"(
.text
.globl mmprm_emu_switch
.hidden mmprm_emu_switch
.type mmprm_emu_switch,@function
mmprm_emu_switch:
  pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
  ret
)");
extern "C" __attribute__((visibility("hidden"))) void mmprm_emu_switch(void** save, void* to);

namespace emu {

__thread Thread* current;
__thread unsigned char* dynamic_shared;
__thread Block* block;

bool chips_named(std::string_view name, Chips& chips) {
  for (const auto& [known, means] : {std::pair<std::string_view, Chips>("ampere", Chips::kAmpere),
                                     {"hopper", Chips::kHopper},
                                     {"blackwell", Chips::kBlackwell}}) {
    if (name != known) continue;
    chips = means;
    return true;
  }
  return false;
}

// Elsewhere the code of sm_90a is not run: kernels that hold it are empty there.
void require_hopper(const char* what) {
  if (options().chips != Chips::kHopper) fail(std::string(what) + ": these chips have none");
}

Options& options() {
  static Options o = [] {
    Options o;
    const char* chips = std::getenv("MMPRM_EMULATED_CHIPS");
    if (chips && !chips_named(chips, o.chips)) {
      std::fprintf(stderr, "MMPRM_EMULATED_CHIPS is \"%s\"; known: ampere, hopper, blackwell\n", chips);
      std::abort();
    }
    return o;
  }();
  return o;
}

void set_registers(int count) {
  require_hopper("setmaxnreg");
  if (count < 24 || count > 240 || count % 8)
    fail("setmaxnreg: " + std::to_string(count) + " is no multiple of 8 in 24 to 240");
  block->running->registers = count;
}

namespace {

#if defined(MMPRM_EMU_TSAN) || defined(MMPRM_EMU_ASAN)
constexpr size_t kStackBytes = 256 << 10;
#else
constexpr size_t kStackBytes = 64 << 10;
#endif

void switch_to(Fiber* f) {
  Fiber* from = block->running;
  if (f == from) return;
  block->running = f;
  current = f;
  MMPRM_TSAN(__tsan_switch_to_fiber(f->tsan, 1);)
  MMPRM_ASAN(void* fake = nullptr;
             __sanitizer_start_switch_fiber(from->done ? nullptr : &fake, f->stack, kStackBytes);)
  mmprm_emu_switch(&from->stack_pointer, f->stack_pointer);
  MMPRM_ASAN(__sanitizer_finish_switch_fiber(fake, nullptr, nullptr);)
}

Fiber* pick_next() {
  const int n = int(block->warps.size());
  const bool random = options().seed != 0;
  for (;;) {
    if (!block->loads.empty() && options().async == Async::kRandom && next_random() % 8 == 0) run_tile_load();
    const Fiber* running = block->running;
    const int first = random ? int(next_random() % n) : running->warp;
    for (int i = 0; i < n; ++i) {
      const int w = (first + i) % n;
      const uint32_t ready = block->warps[w].ready;
      if (!ready) continue;
      const int turn = random ? int(next_random() & 31) : running->warp == w ? running->lane : 0;
      const uint32_t turned = ready >> turn | (turn ? ready << (32 - turn) : 0);
      return block->fibers[w * 32 + ((__builtin_ctz(turned) + turn) & 31)].get();
    }
    // Nobody can go on: copies that were as late as allowed now happen.
    if (block->loads.empty()) return nullptr;
    run_tile_load();
  }
}

void end_thread(Fiber& self) {
  if (!self.copies.empty()) fail("a thread ends with cp.async still under way");
  if (!self.stores.open.empty()) fail("a thread ends with a tile store that it did not commit");
  for (const auto& group : self.stores.committed)
    for (const auto& store : group)
      if (!store->read) fail("a thread ends while a tile store still reads shared memory");
  finish_stores(self, 0, true);  // the end of a grid completes what was read
  self.done = true;
  set_ready(&self, false);
  Warp& w = block->warps[self.warp];
  w.alive &= ~(1u << self.lane);
  if (!w.alive && !w.products.empty()) fail("a warp ends with wgmma still under way");
  --block->num_live;
}

void fiber_main() {
  MMPRM_ASAN(__sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);)
  block->entry(block->closure);
  end_thread(*block->running);
  if (block->num_live) {
    Fiber* next = pick_next();
    if (!next) fail("deadlock: the other threads wait for ever");
    switch_to(next);
  }
  if (!block->loads.empty()) fail("a block ends with a tile load still under way");
  MMPRM_TSAN(__tsan_switch_to_fiber(block->main_tsan, 1);)
  current = nullptr;
  block->running = nullptr;
  void* dead;
  MMPRM_ASAN(__sanitizer_start_switch_fiber(nullptr, nullptr, 0);)
  mmprm_emu_switch(&dead, block->main_stack_pointer);
  __builtin_unreachable();
}

void start_fiber(Fiber& f) {
  if (!f.stack) {
    f.stack = static_cast<unsigned char*>(
        mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    MMPRM_TSAN(f.tsan = __tsan_create_fiber(0);)
  }
  MMPRM_ASAN(__asan_unpoison_memory_region(f.stack, kStackBytes);)  // what the last block's frames left
  void** top = reinterpret_cast<void**>(f.stack + kStackBytes - 64);
  *--top = nullptr;                               // alignment
  *--top = reinterpret_cast<void*>(&fiber_main);  // ret
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  f.stack_pointer = top;
  f.done = false;
}

void prepare_block(Block& b, dim3 index, dim3 grid, dim3 size, size_t shared_bytes) {
  const int n = int(size.x * size.y * size.z);
  b.num_threads = b.num_live = n;
  while (int(b.fibers.size()) < n) b.fibers.push_back(std::make_unique<Fiber>());
  // Another fiber plays thread i in each block, so that two blocks' accesses by thread i are told apart.
  std::rotate(b.fibers.begin(), b.fibers.begin() + 1, b.fibers.begin() + n);
  b.warps.assign((n + 31) / 32, Warp{});
  for (NamedBarrier& x : b.barriers) x = NamedBarrier{};
  b.mbarriers.clear();
  // Fresh and full of NaN: nothing may rely on what stood there. Its end lies where an overrun is seen.
  std::vector<unsigned char>(shared_bytes + 1024, 0xff).swap(b.shared_storage);
  const uintptr_t start = reinterpret_cast<uintptr_t>(b.shared_storage.data());
  dynamic_shared = reinterpret_cast<unsigned char*>((start + 1023) & ~uintptr_t{1023});
  b.random = options().seed * 0x9E3779B97F4A7C15ull + index.x + 1;
  for (int i = 0; i < n; ++i) {
    Fiber& f = *b.fibers[i];
    f.thread_index = dim3(i % size.x, i / size.x % size.y, i / size.x / size.y);
    f.block_index = index;
    f.grid_size = grid;
    f.block_size = size;
    f.lane = i % 32;
    f.warp = i / 32;
    f.registers = 0;
    start_fiber(f);
    b.warps[f.warp].alive |= 1u << f.lane;
    b.warps[f.warp].ready |= 1u << f.lane;
  }
}

// On a card, who asks last for registers that nobody gave back waits for ever.
void check_registers(const Block& b) {
  const int each = std::min(65536 / b.num_threads, 255) / 8 * 8;
  long asked = 0;
  for (int i = 0; i < b.num_threads; ++i) asked += b.fibers[i]->registers ? b.fibers[i]->registers : each;
  if (asked > long(each) * b.num_threads) {
    current = b.fibers[0].get();  // all have ended; one has to speak
    fail("setmaxnreg: the threads ask for " + std::to_string(asked) +
         " registers, the block was launched with " + std::to_string(each * b.num_threads));
  }
}

// What the four warps of a warpgroup do together: setmaxnreg and wgmma. On a card, one that stays away is undefined.
void check_warpgroups(const Block& b) {
  for (int i = 1; i < b.num_threads; ++i) {
    const Fiber &before = *b.fibers[i - 1], &f = *b.fibers[i];
    if (f.warp / 4 != before.warp / 4) continue;
    const long products = b.warps[f.warp].num_products, others = b.warps[before.warp].num_products;
    const bool same_registers = f.registers == before.registers;
    if (same_registers && products == others) continue;
    current = b.fibers[i].get();  // as above
    if (!same_registers)
      fail("setmaxnreg: warp " + std::to_string(f.warp) + " asked for " + std::to_string(f.registers) +
           " registers, others of its warpgroup for " + std::to_string(before.registers));
    fail("wgmma: warp " + std::to_string(f.warp) + " took part in " + std::to_string(products) +
         " products, others of its warpgroup in " + std::to_string(others));
  }
}

void run_block(Block& b, dim3 index, dim3 grid, dim3 size, size_t shared_bytes) {
  {
    Quiet quiet;
    prepare_block(b, index, grid, size, shared_bytes);
  }
  // The launch comes before every thread and agent.
  b.begin.release();
  for (Agent* agent : {&b.copy_engine, &b.async_proxy}) agent->act([&] { b.begin.acquire(); });
  MMPRM_TSAN(b.main_tsan = __tsan_get_current_fiber(); for (int i = 0; i < b.num_threads; ++i) {
    __tsan_switch_to_fiber(b.fibers[i]->tsan, 1);
    b.begin.acquire();
  } __tsan_switch_to_fiber(b.fibers[0]->tsan, 1);)
  Fiber* first = b.fibers[0].get();
  current = first;
  b.running = first;
  MMPRM_ASAN(void* fake; __sanitizer_start_switch_fiber(&fake, first->stack, kStackBytes);)
  mmprm_emu_switch(&b.main_stack_pointer, first->stack_pointer);
  MMPRM_ASAN(__sanitizer_finish_switch_fiber(fake, nullptr, nullptr);)
  check_registers(b);
  check_warpgroups(b);
}

// Every thread and agent comes before what follows the launch.
void join_fibers([[maybe_unused]] Block& b) {
  MMPRM_TSAN(void* self = __tsan_get_current_fiber(); for (auto& f
                                                           : b.fibers) {
    __tsan_switch_to_fiber(f->tsan, 1);
    b.end.release();
  } __tsan_switch_to_fiber(self, 1);)
  for (Agent* agent : {&b.copy_engine, &b.async_proxy}) agent->act([&] { b.end.release(); });
  b.end.acquire();
}

}  // namespace

void run_grid(dim3 grid, dim3 size, size_t shared_bytes, void (*entry)(void*), void* closure) {
  static thread_local Block own_block;
  const long total = long(grid.x) * grid.y * grid.z;
  std::atomic<long> next{0};
  const auto work = [&](Block& b) {
    block = &b;
    b.entry = entry;
    b.closure = closure;
    for (long i; (i = next++) < total;) {
      const dim3 index(unsigned(i % grid.x), unsigned(i / grid.x % grid.y), unsigned(i / grid.x / grid.y));
      run_block(b, index, grid, size, shared_bytes);
    }
    join_fibers(b);
  };
  const int workers = int(std::min<long>(options().workers, total));
  static std::vector<std::unique_ptr<Block>> blocks(64);
  std::vector<std::thread> threads;
  for (int i = 1; i < workers; ++i) {
    if (!blocks[i]) blocks[i] = std::make_unique<Block>();
    threads.emplace_back([&, i] { work(*blocks[i]); });
  }
  work(own_block);
  for (std::thread& t : threads) t.join();
}

uint64_t next_random() {
  uint64_t& x = block->random;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return x;
}

bool early() {
  return options().async == Async::kEarly || (options().async == Async::kRandom && (next_random() & 1));
}

void set_ready(Fiber* f, bool ready) {
  uint32_t& mask = block->warps[f->warp].ready;
  mask = ready ? mask | 1u << f->lane : mask & ~(1u << f->lane);
}

void yield(const char* why) {
  block->running->waits = why;
  Fiber* next = pick_next();
  if (!next) fail("deadlock");
  switch_to(next);
}

bool in_shared(const void* p, size_t bytes) {
  const auto* at = static_cast<const unsigned char*>(p);
  const unsigned char* end = block->shared_storage.data() + block->shared_storage.size();
  return at >= dynamic_shared && at <= end && bytes <= size_t(end - at);
}

void fail(const std::string& what) {
  std::fprintf(stderr, "emulator: %s (block %u,%u,%u thread %u)\n", what.c_str(), current->block_index.x,
               current->block_index.y, current->block_index.z, current->thread_index.x);
  std::map<std::string, int> waits;
  for (int i = 0; i < block->num_threads; ++i) {
    const Fiber& f = *block->fibers[i];
    if (!f.done && &f != block->running)
      ++waits["warp " + std::to_string(f.warp) + " at " + (*f.waits ? f.waits : "start")];
  }
  for (const auto& [where, lanes] : waits) std::fprintf(stderr, "  %d lanes of %s\n", lanes, where.c_str());
  std::abort();
}

}  // namespace emu
