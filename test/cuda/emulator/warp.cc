// What the lanes of a warp do together: meet, shuffle, vote, move matrices, multiply by mma.sync.
#include "emulator/block.h"
#include "emulator/tensor_core.h"

namespace emu {

void warp_collective(const char* kind, uint32_t mask, void* arg, WarpWork work, const void* common) {
  Fiber* self = block->running;
  Warp& w = block->warps[self->warp];
  const uint32_t bit = 1u << self->lane;
  if (!(mask & bit)) fail(std::string(kind) + ": the calling lane is not in its own mask");
  if (mask & ~w.alive) fail(std::string(kind) + ": the mask names lanes that have ended");
  if (w.arrived == 0) {
    w.kind = kind;
    w.mask = mask;
  } else if (w.kind != kind || w.mask != mask) {
    fail(std::string("lanes of one warp part: ") + w.kind + " meets " + kind);
  }
  w.args[self->lane] = arg;
  w.arrived |= bit;
  if (w.arrived == mask) {
    work(w.args, mask, common);
    w.arrived = 0;
    w.ready |= mask;
  } else {
    w.ready &= ~bit;
    yield(kind);
  }
}

void sync_warp(uint32_t mask) {
  Warp& w = block->warps[block->running->warp];
  SyncPoint& sync = w.sync[w.syncs_seen[block->running->lane]++ & 1];
  sync.release();
  warp_collective("syncwarp", mask, nullptr, [](void* const*, uint32_t, const void*) {});
  sync.acquire();
}

uint32_t shuffle_bits(const char* kind, uint32_t mask, uint32_t value, int from) {
  struct Shuffle {
    uint32_t value, from, result;
  } s{value, uint32_t(from), 0};
  warp_collective(kind, mask, &s, [](void* const* args, uint32_t m, const void*) {
    for (int l = 0; l < 32; ++l) {
      if (!(m >> l & 1)) continue;
      Shuffle& s = *static_cast<Shuffle*>(args[l]);
      // A lane that takes no part holds no defined value: poison.
      s.result = m >> s.from & 1 ? static_cast<Shuffle*>(args[s.from])->value : 0x7fc0dead;
    }
  });
  return s.result;
}

uint32_t ballot(uint32_t mask, bool p) {
  struct Vote {
    bool p;
    uint32_t result;
  } v{p, 0};
  warp_collective("ballot", mask, &v, [](void* const* args, uint32_t m, const void*) {
    uint32_t b = 0;
    for (int l = 0; l < 32; ++l)
      if (m >> l & 1 && static_cast<Vote*>(args[l])->p) b |= 1u << l;
    for (int l = 0; l < 32; ++l)
      if (m >> l & 1) static_cast<Vote*>(args[l])->result = b;
  });
  return v.result;
}

uint32_t pack_bf16(float low, float high) {
  const auto round = [](float f) -> uint32_t {
    const uint32_t b = to_bits(f);
    if ((b & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
    return (b + 0x7fffu + (b >> 16 & 1)) >> 16;
  };
  return round(low) | round(high) << 16;
}

// ---- ldmatrix, stmatrix

namespace {
struct MatrixArg {
  unsigned char* row;
  uint32_t* r;
};
struct MatrixKind {
  int matrices;
  bool transposed;
};
void check_row(const char* name, const void* row) {
  if (reinterpret_cast<uintptr_t>(row) % 16) fail(std::string(name) + ": a row is not aligned to 16 bytes");
}
}  // namespace

void load_matrix(uint32_t* r, int matrices, const void* row, bool transposed) {
  MatrixArg arg{static_cast<unsigned char*>(const_cast<void*>(row)), r};
  const MatrixKind kind{matrices, transposed};
  check_row("ldmatrix", row);
  if (block->running->lane < matrices * 8) mark_read(row, 16);
  warp_collective(
      transposed ? "ldmatrix.trans" : "ldmatrix", ~0u, &arg,
      [](void* const* args, uint32_t, const void* common) {
        const MatrixKind kind = *static_cast<const MatrixKind*>(common);
        for (int m = 0; m < kind.matrices; ++m) {
          uint16_t e[8][8];
          for (int i = 0; i < 8; ++i) std::memcpy(e[i], static_cast<MatrixArg*>(args[m * 8 + i])->row, 16);
          for (int l = 0; l < 32; ++l) {
            const int g = l / 4, t = l % 4 * 2;
            static_cast<MatrixArg*>(args[l])->r[m] = kind.transposed ? e[t][g] | uint32_t(e[t + 1][g]) << 16
                                                                     : e[g][t] | uint32_t(e[g][t + 1]) << 16;
          }
        }
      },
      &kind);
}

void store_matrix(void* row, const uint32_t* r, int matrices, bool transposed) {
  require_hopper("stmatrix");
  MatrixArg arg{static_cast<unsigned char*>(row), const_cast<uint32_t*>(r)};
  const MatrixKind kind{matrices, transposed};
  check_row("stmatrix", row);
  if (block->running->lane < matrices * 8) mark_write(row, 16);
  warp_collective(
      transposed ? "stmatrix.trans" : "stmatrix", ~0u, &arg,
      [](void* const* args, uint32_t, const void* common) {
        const MatrixKind kind = *static_cast<const MatrixKind*>(common);
        for (int m = 0; m < kind.matrices; ++m) {
          uint16_t e[8][8];
          for (int l = 0; l < 32; ++l) {
            const int g = l / 4, t = l % 4 * 2;
            const uint32_t pair = static_cast<MatrixArg*>(args[l])->r[m];
            (kind.transposed ? e[t][g] : e[g][t]) = uint16_t(pair);
            (kind.transposed ? e[t + 1][g] : e[g][t + 1]) = uint16_t(pair >> 16);
          }
          for (int i = 0; i < 8; ++i) std::memcpy(static_cast<MatrixArg*>(args[m * 8 + i])->row, e[i], 16);
        }
      },
      &kind);
}

// ---- mma.sync

void mma_bf16(float* d, const uint32_t* a, uint32_t b0, uint32_t b1) {
  struct Arg {
    float* d;
    const uint32_t* a;
    uint32_t b[2];
  } arg{d, a, {b0, b1}};
  warp_collective("mma.bf16", ~0u, &arg, [](void* const* args, uint32_t, const void*) {
    uint16_t a[16][16], b[8][16];  // b by columns
    for (int l = 0; l < 32; ++l) {
      const Arg& x = *static_cast<Arg*>(args[l]);
      const int g = l / 4, t = l % 4 * 2;
      for (int h = 0; h < 2; ++h) {
        for (int i = 0; i < 4; ++i) a[g + (i & 1) * 8][t + (i >> 1) * 8 + h] = uint16_t(x.a[i] >> 16 * h);
        for (int i = 0; i < 2; ++i) b[g][t + i * 8 + h] = uint16_t(x.b[i] >> 16 * h);
      }
    }
    Split16 rows[16], columns[8];
    for (int i = 0; i < 16; ++i) rows[i] = Split16(a[i]);
    for (int i = 0; i < 8; ++i) columns[i] = Split16(b[i]);
    const Chips chips = options().chips;
    for (int l = 0; l < 32; ++l) {
      float* d = static_cast<Arg*>(args[l])->d;
      for (int i = 0; i < 4; ++i)
        d[i] = dot16(chips, rows[l / 4 + (i >> 1) * 8], columns[l % 4 * 2 + (i & 1)], d[i]);
    }
  });
}

void mma_int8(int* d, const uint32_t* a, uint32_t b0, uint32_t b1, bool b_signed) {
  struct Arg {
    int* d;
    const uint32_t* a;
    uint32_t b[2];
  } arg{d, a, {b0, b1}};
  const auto work = [](void* const* args, uint32_t, const void* common) {
    const bool b_signed = *static_cast<const bool*>(common);
    int a[16][32], b[8][32];
    for (int l = 0; l < 32; ++l) {
      const Arg& x = *static_cast<Arg*>(args[l]);
      const int g = l / 4, t = l % 4 * 4;
      for (int h = 0; h < 4; ++h) {
        for (int i = 0; i < 4; ++i) a[g + (i & 1) * 8][t + (i >> 1) * 16 + h] = int8_t(x.a[i] >> 8 * h);
        for (int i = 0; i < 2; ++i) {
          const uint8_t byte = uint8_t(x.b[i] >> 8 * h);
          b[g][t + i * 16 + h] = b_signed ? int8_t(byte) : byte;
        }
      }
    }
    for (int l = 0; l < 32; ++l) {
      int* d = static_cast<Arg*>(args[l])->d;
      for (int i = 0; i < 4; ++i) {
        uint32_t sum = uint32_t(d[i]);  // wraps
        for (int k = 0; k < 32; ++k) sum += uint32_t(a[l / 4 + (i >> 1) * 8][k] * b[l % 4 * 2 + (i & 1)][k]);
        d[i] = int(sum);
      }
    }
  };
  warp_collective(b_signed ? "mma.s8.s8" : "mma.s8.u8", ~0u, &arg, work, &b_signed);
}

}  // namespace emu
