// wgmma of sm_90a: d (+)= a · b by the four warps of a warpgroup, asynchronously. Rows 0 to 63 are a's; warp w of the
// warpgroup holds rows 16 w to 16 w + 15; with g = lane / 4 and t = lane % 4, d[4 j + i] is row g + 8 (i / 2), column
// 8 j + 2 t + i % 2.
//
//   float sums[N / 2];
//   wgmma_fence();                       // registers and shared memory as written so far
//   wgmma_ss<false>(sums, a, b, k > 0);  // one per 16 elements of k; descriptors step by 2 inside a 128-byte row
//   wgmma_commit();
//   wgmma_wait<0>();                     // sums may be read, a and b overwritten
#pragma once
#include "cuda/target.h"

#if defined(MMPRM_HOPPER)
namespace mmprm::cuda {

// A tile in shared memory whose rows are 128 bytes, swizzled as TMA does it: 8 rows make an atom of 1,024 bytes.
// K-major (rows along k): `stride` is what lies between groups of 8 rows. MN-major: `leading` lies between boxes of 64
// columns, `stride` between groups of 8 k. The tile is aligned to 1,024 bytes.
__device__ inline uint64_t tile_descriptor(const void* p, int leading_bytes = 16, int stride_bytes = 1024) {
  return uint64_t((shared_address(p) & 0x3ffff) >> 4) | uint64_t(leading_bytes >> 4) << 16 |
         uint64_t(stride_bytes >> 4) << 32 | uint64_t(1) << 62;
}

__device__ inline void wgmma_fence() {
#if MMPRM_EMULATED
  emu::wgmma_fence();
#else
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}
__device__ inline void wgmma_commit() {
#if MMPRM_EMULATED
  emu::wgmma_commit();
#else
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}
// Waits for this warp's part of all but the last kLeft groups.
template <int kLeft>
__device__ inline void wgmma_wait() {
#if MMPRM_EMULATED
  emu::wgmma_wait(kLeft);
#else
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kLeft) : "memory");
#endif
}

#if MMPRM_EMULATED
// N = 2 R: bf16 m64nNk16, a from shared memory (ss) or registers (rs, as mma's), b K-major or MN-major.
template <bool kBMnMajor, size_t R>
inline void wgmma_ss(float (&d)[R], uint64_t a, uint64_t b, int accumulate) {
  emu::wgmma_bf16(d, int(R) * 2, nullptr, a, b, accumulate, kBMnMajor);
}
template <bool kBMnMajor, size_t R>
inline void wgmma_rs(float (&d)[R], const uint32_t (&a)[4], uint64_t b, int accumulate) {
  emu::wgmma_bf16(d, int(R) * 2, a, 0, b, accumulate, kBMnMajor);
}
// 8-bit m64nNk32 into s32; a is signed, b as kBSigned says; both K-major.
template <bool kBSigned, size_t R>
inline void wgmma_int8_ss(int (&d)[R], uint64_t a, uint64_t b, int accumulate) {
  emu::wgmma_int8(d, int(R) * 2, nullptr, a, b, accumulate, kBSigned);
}
template <bool kBSigned, size_t R>
inline void wgmma_int8_rs(int (&d)[R], const uint32_t (&a)[4], uint64_t b, int accumulate) {
  emu::wgmma_int8(d, int(R) * 2, a, 0, b, accumulate, kBSigned);
}
#else
// The instructions name every register, so each N needs its text. d's registers come first: %0 to %(R - 1).
#define MMPRM_D4 "%0,%1,%2,%3"
#define MMPRM_D8 MMPRM_D4 ",%4,%5,%6,%7"
#define MMPRM_D16 MMPRM_D8 ",%8,%9,%10,%11,%12,%13,%14,%15"
#define MMPRM_D32 MMPRM_D16 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define MMPRM_D48 MMPRM_D32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47"
#define MMPRM_D64 MMPRM_D48 ",%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define MMPRM_D80 MMPRM_D64 ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79"
#define MMPRM_D96 MMPRM_D80 ",%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95"
#define MMPRM_D112 MMPRM_D96 ",%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111"
#define MMPRM_D128 \
  MMPRM_D112 ",%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
#define MMPRM_O4(c, i) c(d[i]), c(d[i + 1]), c(d[i + 2]), c(d[i + 3])
#define MMPRM_O8(c, i) MMPRM_O4(c, i), MMPRM_O4(c, i + 4)
#define MMPRM_O16(c, i) MMPRM_O8(c, i), MMPRM_O8(c, i + 8)
#define MMPRM_O32(c, i) MMPRM_O16(c, i), MMPRM_O16(c, i + 16)
#define MMPRM_O48(c, i) MMPRM_O32(c, i), MMPRM_O16(c, i + 32)
#define MMPRM_O64(c, i) MMPRM_O32(c, i), MMPRM_O32(c, i + 32)
#define MMPRM_O96(c, i) MMPRM_O64(c, i), MMPRM_O32(c, i + 64)
#define MMPRM_O128(c, i) MMPRM_O64(c, i), MMPRM_O64(c, i + 64)

// R, R + 1 … R + 6 as text: the operands behind d.
#define MMPRM_WGMMA(N, R, r0, r1, r2, r3, r4, r5, r6)                                                      \
  template <bool kBMnMajor>                                                                                \
  __device__ inline void wgmma_ss(float(&d)[R], uint64_t a, uint64_t b, int accumulate) {                  \
    asm volatile("{ .reg .pred p; setp.ne.b32 p, %" #r2 ", 0; wgmma.mma_async.sync.aligned.m64n" #N        \
                 "k16.f32.bf16.bf16 {" MMPRM_D##R "}, %" #r0 ", %" #r1 ", p, 1, 1, 0, %" #r3 "; }"         \
                 : MMPRM_O##R("+f", 0)                                                                     \
                 : "l"(a), "l"(b), "r"(accumulate), "n"(int(kBMnMajor)));                                  \
  }                                                                                                        \
  template <bool kBMnMajor>                                                                                \
  __device__ inline void wgmma_rs(float(&d)[R], const uint32_t(&a)[4], uint64_t b, int accumulate) {       \
    asm volatile("{ .reg .pred p; setp.ne.b32 p, %" #r5 ", 0; wgmma.mma_async.sync.aligned.m64n" #N        \
                 "k16.f32.bf16.bf16 {" MMPRM_D##R "}, {%" #r0 ",%" #r1 ",%" #r2 ",%" #r3 "}, %" #r4        \
                                                  ", p, 1, 1, %" #r6 "; }"                                 \
                 : MMPRM_O##R("+f", 0)                                                                     \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate),                    \
                   "n"(int(kBMnMajor)));                                                                   \
  }                                                                                                        \
  template <bool kBSigned>                                                                                 \
  __device__ inline void wgmma_int8_ss(int(&d)[R], uint64_t a, uint64_t b, int accumulate) {               \
    if constexpr (kBSigned) {                                                                              \
      asm volatile("{ .reg .pred p; setp.ne.b32 p, %" #r2 ", 0; wgmma.mma_async.sync.aligned.m64n" #N      \
                   "k32.s32.s8.s8 {" MMPRM_D##R "}, %" #r0 ", %" #r1 ", p; }"                              \
                   : MMPRM_O##R("+r", 0)                                                                   \
                   : "l"(a), "l"(b), "r"(accumulate));                                                     \
    } else {                                                                                               \
      asm volatile("{ .reg .pred p; setp.ne.b32 p, %" #r2 ", 0; wgmma.mma_async.sync.aligned.m64n" #N      \
                   "k32.s32.s8.u8 {" MMPRM_D##R "}, %" #r0 ", %" #r1 ", p; }"                              \
                   : MMPRM_O##R("+r", 0)                                                                   \
                   : "l"(a), "l"(b), "r"(accumulate));                                                     \
    }                                                                                                      \
  }                                                                                                        \
  template <bool kBSigned>                                                                                 \
  __device__ inline void wgmma_int8_rs(int(&d)[R], const uint32_t(&a)[4], uint64_t b, int accumulate) {    \
    if constexpr (kBSigned) {                                                                              \
      asm volatile("{ .reg .pred p; setp.ne.b32 p, %" #r5 ", 0; wgmma.mma_async.sync.aligned.m64n" #N      \
                   "k32.s32.s8.s8 {" MMPRM_D##R "}, {%" #r0 ",%" #r1 ",%" #r2 ",%" #r3 "}, %" #r4 ", p; }" \
                   : MMPRM_O##R("+r", 0)                                                                   \
                   : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate));                 \
    } else {                                                                                               \
      asm volatile("{ .reg .pred p; setp.ne.b32 p, %" #r5 ", 0; wgmma.mma_async.sync.aligned.m64n" #N      \
                   "k32.s32.s8.u8 {" MMPRM_D##R "}, {%" #r0 ",%" #r1 ",%" #r2 ",%" #r3 "}, %" #r4 ", p; }" \
                   : MMPRM_O##R("+r", 0)                                                                   \
                   : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate));                 \
    }                                                                                                      \
  }

MMPRM_WGMMA(8, 4, 4, 5, 6, 7, 8, 9, 10)
MMPRM_WGMMA(16, 8, 8, 9, 10, 11, 12, 13, 14)
MMPRM_WGMMA(32, 16, 16, 17, 18, 19, 20, 21, 22)
MMPRM_WGMMA(64, 32, 32, 33, 34, 35, 36, 37, 38)
MMPRM_WGMMA(96, 48, 48, 49, 50, 51, 52, 53, 54)
MMPRM_WGMMA(128, 64, 64, 65, 66, 67, 68, 69, 70)
MMPRM_WGMMA(192, 96, 96, 97, 98, 99, 100, 101, 102)
MMPRM_WGMMA(256, 128, 128, 129, 130, 131, 132, 133, 134)
#endif  // MMPRM_EMULATED

}  // namespace mmprm::cuda
#endif  // MMPRM_HOPPER
