// rope, wide: a head is rotated into a small buffer, converted once, and scattered into its pages.
#include "kernels/gemm/gemm_simd.h"
#include "kernels/rope/rope.h"

namespace mmprm::MMPRM_ISA {
namespace {

constexpr int kMaxHeadDim = 256;

inline int lanes_from(int d, int end) { return end - d < kLanes ? end - d : kLanes; }

// out = x rotated to the row's position, times `scale`.
void rotate(const float* x, const float* cos, int D, float scale, float* out) {
  const Vec s = splat(scale, Vec{});
  if (!cos) {
    for (int d = 0; d < D; d += kLanes) {
      const int lanes = lanes_from(d, D);
      store_first(out + d, lanes, load_first(x + d, lanes, Vec{}) * s);
    }
    return;
  }
  const int half = D / 2;
  const float* sin = cos + half;
  for (int d = 0; d < half; d += kLanes) {
    const int lanes = lanes_from(d, half);
    const Vec a = load_first(x + d, lanes, Vec{}), b = load_first(x + half + d, lanes, Vec{});
    const Vec c = load_first(cos + d, lanes, Vec{}), n = load_first(sin + d, lanes, Vec{});
    store_first(out + d, lanes, (a * c - b * n) * s);
    store_first(out + half + d, lanes, (b * c + a * n) * s);
  }
}

void to_bf16(const float* x, int D, uint16_t* out) {
  for (int d = 0; d < D; d += kLanes) {
    const int lanes = lanes_from(d, D);
    store_first_bf16(out + d, lanes, load_first(x + d, lanes, Vec{}));
  }
}

void write_bf16(std::byte* keys, std::byte* values, int slot, int D, const float* k, const float* v) {
  alignas(64) uint16_t narrow[kMaxHeadDim];
  to_bf16(k, D, narrow);
  for (int d = 0; d < D; d += 2) std::memcpy(keys + (d / 2 * kPageTokens + slot) * 4, narrow + d, 4);
  to_bf16(v, D, narrow);
  uint16_t* to = reinterpret_cast<uint16_t*>(values) + slot / 2 * D * 2 + slot % 2;
  for (int d = 0; d < D; ++d) to[2 * d] = narrow[d];
}

void write_f32(std::byte* keys, std::byte* values, int slot, int D, const float* k, const float* v) {
  float* to = reinterpret_cast<float*>(keys) + slot;
  for (int d = 0; d < D; ++d) to[d * kPageTokens] = k[d];
  std::memcpy(reinterpret_cast<float*>(values) + slot * D, v, D * sizeof(float));
}

void run(const RopeArgs& args, int64_t row_begin, int64_t row_end) {
  const KvPages& kv = args.kv;
  const int D = kv.head_dim_D, G = kv.num_heads_G, H = args.num_heads_H;
  const bool narrow = kv.dtype == DType::kBF16;
  alignas(64) float rotated[kMaxHeadDim];
  for (int64_t t = row_begin; t < row_end; ++t) {
    const float* row = args.qkv + t * args.qkv_stride;
    const float* cos = args.cos_sin ? args.cos_sin + int64_t(args.positions_T[t]) * D : nullptr;
    for (int h = 0; h < H; ++h) {
      const int64_t at = t * args.q_stride + int64_t(h) * D;
      if (narrow) {
        rotate(row + h * D, cos, D, args.q_scale, rotated);
        to_bf16(rotated, D, static_cast<uint16_t*>(args.q) + at);
      } else {
        rotate(row + h * D, cos, D, args.q_scale, static_cast<float*>(args.q) + at);
      }
    }
    for (int g = 0; g < G; ++g) {
      const float* v = row + int64_t(H + G + g) * D;
      rotate(row + int64_t(H + g) * D, cos, D, 1.0f, rotated);
      for (int32_t i = args.slot_begin_T1[t]; i < args.slot_begin_T1[t + 1]; ++i) {
        const KvSlot& to = args.slots[i];
        (narrow ? write_bf16 : write_f32)(kv.keys(to.page, g), kv.values(to.page, g), to.slot, D, rotated, v);
      }
    }
  }
}

}  // namespace

extern const RopeKernel rope;
const RopeKernel rope = {run};

}  // namespace mmprm::MMPRM_ISA
