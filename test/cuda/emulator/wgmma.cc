// wgmma: products that read shared memory through descriptors, when they are waited for. Each warp of a warpgroup holds
// and waits for its own 16 rows.
#include "emulator/block.h"
#include "emulator/tensor_core.h"

namespace emu {

uint32_t shared_address(const void* p) {
  const long at = static_cast<const unsigned char*>(p) - dynamic_shared;
  if (at < 0 || at >= (1 << 18) - 1024) fail("an address that is not in dynamic shared memory");
  return uint32_t(at) + 1024;  // 0 is never a valid one
}

namespace {

constexpr int kMaxTouched = 64 * 64 + 256 * 64;
thread_local const unsigned char* touched[kMaxTouched];  // 2 bytes each, for the race detector
thread_local int num_touched;

uint32_t stride_of(uint64_t d) { return uint32_t(d >> 32 & 0x3fff) * 16; }
uint32_t leading_of(uint64_t d) { return uint32_t(d >> 16 & 0x3fff) * 16; }

const unsigned char* shared_at(uint64_t descriptor, uint32_t offset) {
  uint32_t at = uint32_t(descriptor & 0x3fff) * 16 + offset;
  if (descriptor >> 62 != 1) fail("wgmma: only the 128-byte swizzle is emulated");
  if (descriptor & 0x38)
    fail("wgmma: a tile must begin at a row of 1,024 bytes (else the base offset is needed)");
  at ^= (at >> 7 & 7) << 4;
  const unsigned char* p = dynamic_shared + at - 1024;
  if (at < 1024 || !in_shared(p, 2)) fail("wgmma: a descriptor leaves shared memory");
  MMPRM_TSAN(if (at % 2 == 0 && num_touched < kMaxTouched) touched[num_touched++] = p;)
  return p;
}
uint16_t half_at(uint64_t descriptor, uint32_t offset) {
  uint16_t h;
  std::memcpy(&h, shared_at(descriptor, offset), 2);
  return h;
}

// Byte offset of row r (of a, or column of b), 2 or 1 bytes at k_bytes: rows along k.
uint32_t k_major(uint64_t d, int r, int k_bytes) {
  return uint32_t(r / 8) * stride_of(d) + uint32_t(r % 8 * 128 + k_bytes);
}
uint32_t mn_major(uint64_t d, int n, int k) {
  return uint32_t(n % 64 * 2) + uint32_t(n / 64) * leading_of(d) + uint32_t(k % 8 * 128) +
         uint32_t(k / 8) * stride_of(d);
}

// The element of d that lane and register hold: row m, column n of a warp's 16 x N.
template <typename T>
T& result_at(const Product& p, int m, int n) {
  return static_cast<T*>(p.d[m % 8 * 4 + n % 8 / 2])[n / 8 * 4 + m / 8 * 2 + n % 2];
}

void multiply_bf16(const Product& p, int warp) {
  Split16 rows[16];
  thread_local Split16 columns[256];
  uint16_t line[16];
  for (int n = 0; n < p.n; ++n) {
    for (int k = 0; k < 16; ++k)
      line[k] = half_at(p.b, p.b_mn_major ? mn_major(p.b, n, k) : k_major(p.b, n, k * 2));
    columns[n] = Split16(line);
  }
  for (int m = 0; m < 16; ++m) {
    for (int k = 0; k < 16; ++k) {
      if (p.a_registers[0]) {
        const uint32_t pair = p.a_registers[m % 8 * 4 + k % 8 / 2][m / 8 + k / 8 * 2];
        line[k] = uint16_t(pair >> (k & 1 ? 16 : 0));
      } else {
        line[k] = half_at(p.a, k_major(p.a, warp % 4 * 16 + m, k * 2));
      }
    }
    rows[m] = Split16(line);
  }
  const Chips chips = options().chips;
  for (int m = 0; m < 16; ++m)
    for (int n = 0; n < p.n; ++n) {
      float& d = result_at<float>(p, m, n);
      d = dot16(chips, rows[m], columns[n], p.accumulate ? d : 0);
    }
}

void multiply_int8(const Product& p, int warp) {
  int a[16][32];
  thread_local int b[256][32];
  for (int n = 0; n < p.n; ++n)
    for (int k = 0; k < 32; ++k) {
      const uint8_t byte = *shared_at(p.b, k_major(p.b, n, k));
      b[n][k] = p.b_signed ? int8_t(byte) : byte;
    }
  for (int m = 0; m < 16; ++m)
    for (int k = 0; k < 32; ++k) {
      const uint32_t four = p.a_registers[0] ? p.a_registers[m % 8 * 4 + k % 16 / 4][m / 8 + k / 16 * 2] : 0;
      a[m][k] = p.a_registers[0] ? int8_t(four >> k % 4 * 8)
                                 : int8_t(*shared_at(p.a, k_major(p.a, warp % 4 * 16 + m, k)));
    }
  for (int m = 0; m < 16; ++m)
    for (int n = 0; n < p.n; ++n) {
      int& d = result_at<int>(p, m, n);
      uint32_t sum = p.accumulate ? uint32_t(d) : 0;  // wraps
      for (int k = 0; k < 32; ++k) sum += uint32_t(a[m][k] * b[n][k]);
      d = int(sum);
    }
}

void multiply(const Product& p, int warp) {
  num_touched = 0;
  {
    Quiet quiet;
    if (p.int8)
      multiply_int8(p, warp);
    else
      multiply_bf16(p, warp);
  }
  const auto mark = [] {
    for (int i = 0; i < num_touched; ++i) mark_read(touched[i], 2);
  };
  // Both must hold: what is read was published to the asynchronous proxy, and this warp came after it.
  block->async_proxy.act([&] {
    block->published.acquire();
    mark();
    block->warps[warp].products_done.release();
  });
  mark();
  block->warps[warp].products_done.release();  // the lane that reads need not be the one that arrives next
}

void add_product(const Product& own) {
  require_hopper("wgmma");
  Product arg = own;
  warp_collective(own.int8 ? "wgmma.int8" : "wgmma.bf16", ~0u, &arg,
                  [](void* const* args, uint32_t, const void*) {
                    Product p = *static_cast<const Product*>(args[0]);
                    for (int l = 0; l < 32; ++l) {
                      const Product& x = *static_cast<const Product*>(args[l]);
                      if (x.a != p.a || x.b != p.b || x.accumulate != p.accumulate)
                        fail("wgmma: lanes disagree");
                      p.d[l] = x.d[0];
                      p.a_registers[l] = x.a_registers[0];
                    }
                    const int warp = block->running->warp;
                    Warp& w = block->warps[warp];
                    ++w.num_products;
                    if (w.products.empty() && early()) return multiply(p, warp);
                    Quiet quiet;
                    w.products.open.push_back(p);
                  });
}

}  // namespace

void wgmma_bf16(float* d, int n, const uint32_t* a_registers, uint64_t a, uint64_t b, bool accumulate,
                bool b_mn_major) {
  Product p{};
  p.d[0] = d;
  p.a_registers[0] = a_registers;
  p.a = a;
  p.b = b;
  p.n = n;
  p.accumulate = accumulate;
  p.b_mn_major = b_mn_major;
  add_product(p);
}

void wgmma_int8(int* d, int n, const uint32_t* a_registers, uint64_t a, uint64_t b, bool accumulate,
                bool b_signed) {
  Product p{};
  p.d[0] = d;
  p.a_registers[0] = a_registers;
  p.a = a;
  p.b = b;
  p.n = n;
  p.accumulate = accumulate;
  p.int8 = true;
  p.b_signed = b_signed;
  add_product(p);
}

// A meeting of the warp; that registers and memory are in order before it is ptxas's to warn about.
void wgmma_fence() {
  warp_collective("wgmma.fence", ~0u, nullptr, [](void* const*, uint32_t, const void*) {});
}

void wgmma_commit() {
  warp_collective("wgmma.commit", ~0u, nullptr, [](void* const*, uint32_t, const void*) {
    Quiet quiet;
    block->warps[block->running->warp].products.commit();
  });
}

void wgmma_wait(int left) {
  warp_collective(
      "wgmma.wait", ~0u, nullptr,
      [](void* const*, uint32_t, const void* common) {
        Warp& w = block->warps[block->running->warp];
        while (int(w.products.committed.size()) > *static_cast<const int*>(common)) {
          for (const Product& p : w.products.committed.front()) multiply(p, block->running->warp);
          Quiet quiet;
          w.products.committed.pop_front();
        }
        w.products_done.release();
      },
      &left);
  block->warps[block->running->warp].products_done.acquire();  // what a lane has waited for is behind it
}

}  // namespace emu
