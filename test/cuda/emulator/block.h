// Inside the emulator: a block, its warps and fibers, and who runs next.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "emulator/cuda_names.h"
#include "emulator/sanitizer.h"

namespace emu {

struct SharedCopy {  // cp.async
  void* to;
  const void* from;
  int bytes, source_bytes;
};

struct TileStore {
  TensorMap map;
  int inner, outer;
  const unsigned char* from;
  std::vector<unsigned char> box;  // as read
  bool read = false, written = false;
  SyncPoint issued, done;
};

struct TileLoad {
  unsigned char* to;
  TensorMap map;
  int inner, outer;
  uint64_t* bar;
  SyncPoint issued;
};

struct Product {  // one warp's part of a wgmma
  void* d[32];
  const uint32_t* a_registers[32];
  uint64_t a, b;
  int n;
  bool accumulate, int8, b_mn_major, b_signed;
};

template <typename T>
struct AsyncGroups {
  std::vector<T> open;
  std::deque<std::vector<T>> committed;
  bool empty() const { return open.empty() && committed.empty(); }
  void commit() {
    committed.push_back(std::move(open));
    open.clear();
  }
};

struct Fiber : Thread {
  void* stack_pointer = nullptr;
  unsigned char* stack = nullptr;
  void* tsan = nullptr;
  bool done = false;
  int registers = 0;  // asked for by setmaxnreg; 0: as launched
  const char* waits = "";
  AsyncGroups<SharedCopy> copies;
  AsyncGroups<std::shared_ptr<TileStore>> stores;
};

struct Warp {
  uint32_t ready = 0, alive = 0;
  long num_products = 0;  // wgmma's
  // the collective that gathers
  const char* kind = nullptr;
  uint32_t mask = 0, arrived = 0;
  void* args[32];
  uint8_t syncs_seen[32] = {};
  SyncPoint sync[2], products_done;
  AsyncGroups<Product> products;
};

struct NamedBarrier {
  int count = 0, arrived = 0, phase = 0;
  std::vector<Fiber*> waiting;
  SyncPoint sync[2];
};

struct MBarrier {
  int expected = 0, pending = 0, phase = 0;
  long transaction_bytes = 0;
  bool fenced = false;
  std::vector<Fiber*> waiting;
  SyncPoint sync[2];
};

struct Block {
  std::vector<std::unique_ptr<Fiber>> fibers;  // kept between blocks
  std::vector<Warp> warps;
  int num_threads = 0, num_live = 0;
  NamedBarrier barriers[16];
  std::map<uint64_t*, MBarrier> mbarriers;
  std::deque<std::unique_ptr<TileLoad>> loads;
  std::vector<unsigned char> shared_storage;
  void (*entry)(void*) = nullptr;
  void* closure = nullptr;
  void* main_stack_pointer = nullptr;
  void* main_tsan = nullptr;
  Agent copy_engine;
  Agent async_proxy;  // sees of shared memory what TMA wrote and what proxy_fence published
  SyncPoint published, begin, end;
  uint64_t random = 1;
  Fiber* running = nullptr;
};
extern __thread Block* block;

[[noreturn]] void fail(const std::string& what);
void require_hopper(const char* what);
uint64_t next_random();
bool early();  // this piece of asynchronous work happens at once
void set_ready(Fiber* f, bool ready);
void yield(const char* why);
bool in_shared(const void* p, size_t bytes);

// Calls of all lanes of `mask` meet; the last one runs `work` on everyone's argument. `kind` is a literal.
using WarpWork = void (*)(void* const* args, uint32_t mask, const void* common);
void warp_collective(const char* kind, uint32_t mask, void* arg, WarpWork work, const void* common = nullptr);

void run_tile_load();
void finish_stores(Fiber& f, size_t groups_left, bool written);

}  // namespace emu
