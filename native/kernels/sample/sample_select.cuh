// Choosing among a row's elements by a block of threads: sums, the value at which a sum is reached, the place where one is
// passed, elements moved together. All sums are of whole numbers, so no order of work shows in a result.
#pragma once
#include "cuda/rows.h"
#include "kernels/sample/weight.h"

namespace mmprm::cuda {

constexpr int kSampleThreads = 1024, kSampleWarps = kSampleThreads / 32;
constexpr int kDigitBits = 2, kDigits = 1 << kDigitBits;

// Of a block; the list of survivors lies behind it.
struct SampleShared {
  uint64_t sums[kDigits][kSampleWarps];
  uint64_t totals[kDigits];
  float maxima[kSampleThreads];
  int32_t place;
  uint64_t given_sum;  // of the logits as given: the weights', and the largest
  float given_largest;
};

// What is left of a row, in rising token order: the row itself, or a list in shared memory.
struct Elements {
  const float* logits = nullptr;
  const int32_t* tokens = nullptr;  // null: element i is token i
  int count = 0;
  float temperature = 1;  // that logits are still to be divided by

  __device__ float at(int i) const { return temperature == 1 ? logits[i] : logits[i] / temperature; }
  __device__ int32_t token(int i) const { return tokens ? tokens[i] : i; }
};
struct SampleList {
  float* logits;
  int32_t* tokens;
  int capacity;
};

// Rises with x and is equal for both zeros; 0 for what is never chosen: -inf and NaN.
__device__ inline uint32_t key_of(float x) {
  if (!(x > __uint_as_float(0xff800000u))) return 0;
  const uint32_t u = __float_as_uint(x + 0.0f);
  return u >> 31 ? ~u : u | 0x80000000u;
}
__device__ inline float value_of(uint32_t key) {
  return __uint_as_float(key >> 31 ? key & 0x7fffffffu : ~key);
}

__device__ inline int lane_of() { return int(threadIdx.x % 32); }
__device__ inline int warp_of() { return int(threadIdx.x / 32); }
__device__ inline int warps_of_block() { return int(blockDim.x / 32); }

// A warp's elements: whole groups of 32, one behind the other.
struct Segment {
  int begin, end;

  __device__ explicit Segment(int count) {
    const int groups = (count + 31) / 32, each = (groups + warps_of_block() - 1) / warps_of_block() * 32;
    begin = warp_of() * each < count ? warp_of() * each : count;
    end = count - begin < each ? count : begin + each;
  }
};
template <int kUnroll = 4, typename Body>
__device__ inline void for_mine(int count, const Body& body) {
  const Segment segment(count);
#pragma unroll kUnroll
  for (int i = segment.begin + lane_of(); i < segment.end; i += 32) body(i);
}

// To shared.totals, which may be read until the next call of one of these.
template <int kN, typename T>
__device__ inline void sum_over_block(const T (&v)[kN], SampleShared& shared) {
#pragma unroll
  for (int n = 0; n < kN; ++n) {
    const T sum = sum_of_warp(v[n]);
    if (lane_of() == 0) shared.sums[n][warp_of()] = sum;
  }
  __syncthreads();
  for (int n = warp_of(); n < kN; n += warps_of_block()) {
    const T sum = sum_of_warp(lane_of() < warps_of_block() ? T(shared.sums[n][lane_of()]) : T(0));
    if (lane_of() == 0) shared.totals[n] = sum;
  }
  __syncthreads();
}
template <typename T>
__device__ inline T sum_over_block(T v, SampleShared& shared) {
  const T one[1] = {v};
  sum_over_block(one, shared);
  return T(shared.totals[0]);
}
__device__ inline uint32_t max_of_warp(uint32_t v) {
#pragma unroll
  for (int x = 16; x > 0; x /= 2) v = max(v, __shfl_xor_sync(~0u, v, x));
  return v;
}
__device__ inline uint32_t max_over_block(uint32_t v, SampleShared& shared) {
  const uint32_t mine = max_of_warp(v);
  if (lane_of() == 0) shared.sums[0][warp_of()] = mine;
  __syncthreads();
  if (warp_of() == 0) {
    const uint32_t of_warp = lane_of() < warps_of_block() ? uint32_t(shared.sums[0][lane_of()]) : 0;
    const uint32_t whole = max_of_warp(of_warp);
    if (lane_of() == 0) shared.totals[0] = whole;
  }
  __syncthreads();
  return uint32_t(shared.totals[0]);
}

template <typename T>
struct KeyMass {
  uint32_t key;
  T mass;
};

// The largest key at which the masses of elements of that key or above are `need` or more; 0: all together are less. Digit
// by digit: after each, trim(found, shift) may take elements of lower keys away. element(i) gives KeyMass<T>,
// need_of(total) is more than 0.
template <typename T, typename Element, typename Need, typename Trim>
__device__ inline uint32_t largest_reaching(const Elements& left, SampleShared& shared,
                                            const Element& element, const Need& need_of, const Trim& trim) {
  uint32_t found = 0;
  T need = 0;
#pragma unroll 1
  for (int shift = 32 - kDigitBits; shift >= 0; shift -= kDigitBits) {
    T sums[kDigits] = {};
    for_mine<1>(left.count, [&](int i) {
      const KeyMass<T> e = element(i);
#pragma unroll
      for (int d = 0; d < kDigits; ++d) sums[d] += e.key >= (found | uint32_t(d) << shift) ? e.mass : T(0);
    });
    sum_over_block(sums, shared);
    if (need == 0) need = need_of(T(shared.totals[0]));
    uint32_t digit = 0;
    for (int d = 1; d < kDigits; ++d) digit += T(shared.totals[d]) >= need;  // they fall
    found |= digit << shift;
    trim(found, shift);
  }
  return found;
}

// Masses summed in the order of elements, as a warp sees it.
template <typename T>
struct Cumulated {
  T before = 0, mine = 0, total = 0;
};
template <typename T, typename Mass>
__device__ inline Cumulated<T> cumulate(int count, SampleShared& shared, const Mass& mass) {
  Cumulated<T> c;
  for_mine(count, [&](int i) { c.mine += mass(i); });
  c.mine = sum_of_warp(c.mine);
  if (lane_of() == 0) shared.sums[0][warp_of()] = c.mine;
  __syncthreads();
  for (int w = 0; w < warps_of_block(); ++w) {
    if (w == warp_of()) c.before = c.total;
    c.total += T(shared.sums[0][w]);
  }
  __syncthreads();
  return c;
}
// Calls found(i), in one thread, for the first element with which the sum of masses passes `target`.
template <typename T, typename Mass, typename Found>
__device__ inline void find_place(const Cumulated<T>& c, int count, T target, const Mass& mass,
                                  const Found& found) {
  if (target < c.before || target - c.before >= c.mine) return;  // another warp's
  const Segment segment(count);
  T sum = c.before;
  for (int begin = segment.begin; begin < segment.end; begin += 32) {
    const int i = begin + lane_of();
    T v = i < segment.end ? mass(i) : T(0);
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
      const T below = __shfl_up_sync(~0u, v, step);
      if (lane_of() >= step) v += below;
    }
    const uint32_t passed = __ballot_sync(~0u, sum + v > target);
    if (passed) {
      if (lane_of() == __ffs(int(passed)) - 1) found(i);
      return;
    }
    sum += __shfl_sync(~0u, v, 31);
  }
}

// Moves to the list what `keep` names, where that fits.
template <typename Keep>
__device__ inline bool move_to_list(Elements& left, const SampleList& list, SampleShared& shared,
                                    const Keep& keep) {
  const auto counted = [&](int i) { return uint32_t(keep(i)); };
  const Cumulated<uint32_t> c = cumulate<uint32_t>(left.count, shared, counted);
  if (c.total > uint32_t(list.capacity)) return false;
  const Segment segment(left.count);
  uint32_t at = c.before;
  for (int begin = segment.begin; begin < segment.end && c.mine > 0; begin += 32) {
    const int i = begin + lane_of();
    const bool kept = i < segment.end && keep(i);
    const uint32_t all = __ballot_sync(~0u, kept);
    if (kept) {
      const uint32_t to = at + __popc(all & ((1u << lane_of()) - 1));
      list.logits[to] = left.at(i);
      list.tokens[to] = left.token(i);
    }
    at += __popc(all);
  }
  __syncthreads();
  left = {list.logits, list.tokens, int(c.total), 1};
  return true;
}

}  // namespace mmprm::cuda
