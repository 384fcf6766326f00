// A ring of stages in shared memory: one thread fills it by TMA, warps empty it.
#pragma once
#include "cuda/ptx.h"

namespace mmprm::cuda {

// Which stage is next, and in which round, as producer and consumers walk the ring.
template <int kStages>
struct RingPlace {
  int stage = 0;
  uint32_t parity = 0;
  __device__ void advance() {
    if (++stage == kStages) stage = 0, parity ^= 1;
  }
};

template <int kStages>
struct RingBarriers {
  uint64_t full[kStages], empty[kStages];

#if defined(MMPRM_HOPPER)
  // One thread, before barrier_init_done and a barrier of the block.
  __device__ void init(int consumers) {
    for (int s = 0; s < kStages; ++s) {
      barrier_init(&full[s], 1);
      barrier_init(&empty[s], consumers);
    }
  }
  // The producer: the stage is free, and `bytes` will come.
  __device__ uint64_t* begin_fill(const RingPlace<kStages>& place, int bytes) {
    barrier_wait(&empty[place.stage], place.parity ^ 1);
    barrier_arrive_expect(&full[place.stage], bytes);
    return &full[place.stage];
  }
  __device__ void wait_filled(const RingPlace<kStages>& place) {
    barrier_wait(&full[place.stage], place.parity);
  }
  // A consumer warp is done with a stage.
  __device__ void release(int stage) {
    if (threadIdx.x % 32 == 0) barrier_arrive(&empty[stage]);
  }
#endif
};

}  // namespace mmprm::cuda
