// rope, one instruction set. Heads are rotated in a small buffer on the stack and then laid into the pages;
// every element is the same two instructions wherever it stands, so bits depend on nothing but the row.
#include "kernels/rope/rope.h"
#include "kernels/simd/vector.h"

namespace mmprm::MMPRM_ISA {
namespace {

// out = scale · x, rotated by the angles whose cosines and sines are given (null: not rotated).
void rotate(const float* x, const float* cos_sin, int D, float scale, float* out) {
  if (!cos_sin) {
    for_vectors(
        D, [&](int d, int lanes) { store_first(out + d, lanes, load_first(x + d, lanes) * splat(scale)); });
    return;
  }
  const int half = D / 2;
  for_vectors(half, [&](int i, int lanes) {
    const Vec lower = load_first(x + i, lanes), upper = load_first(x + half + i, lanes);
    const Vec cos = load_first(cos_sin + i, lanes), sin = load_first(cos_sin + half + i, lanes);
    store_first(out + i, lanes, fma(lower, cos, Vec{} - upper * sin) * splat(scale));
    store_first(out + half + i, lanes, fma(upper, cos, lower * sin) * splat(scale));
  });
}

// out = x · rsqrt(mean(x²) + eps) · weight: one chain of additions a lane.
void normalise(const float* x, const float* weight_D, int D, float eps, float* out) {
  Vec squares = {};
  for_vectors(D, [&](int d, int lanes) {
    const Vec v = load_first(x + d, lanes);
    squares = fma(v, v, squares);
  });
  const Vec scale = splat(1.0f / __builtin_sqrtf(sum_of_lanes(squares) / float(D) + eps));
  for_vectors(D, [&](int d, int lanes) {
    store_first(out + d, lanes, load_first(x + d, lanes) * scale * load_first(weight_D + d, lanes));
  });
}

struct PagesF32 {
  static constexpr DType kDType = DType::kF32;

  static void write_keys(const float* k, int D, int slot, std::byte* block) {
    float* to = reinterpret_cast<float*>(block) + slot;
    for (int d = 0; d < D; ++d) to[d * kPageTokens] = k[d];
  }
  static void write_values(const float* v, int D, int slot, std::byte* block) {
    float* to = reinterpret_cast<float*>(block) + slot * D;
    for_vectors(D, [&](int d, int lanes) { store_first(to + d, lanes, load_first(v + d, lanes)); });
  }
};

#if defined(MMPRM_ISA_AVX512BF16)

struct PagesBf16 {
  static constexpr DType kDType = DType::kBF16;

  static void write_keys(const float* k, int D, int slot, std::byte* block) {
    alignas(64) uint16_t words[kMaxHeadDim];
    for_vectors(D, [&](int d, int lanes) { store_first_bf16(words + d, lanes, load_first(k + d, lanes)); });
    std::byte* to = block + slot * 4;
    for (int d = 0; d < D; d += 2) std::memcpy(to + d / 2 * kPageTokens * 4, words + d, 4);
  }
  // INVARIANT: writes no byte of the neighbouring slot, which another thread may be writing just now.
  static void write_values(const float* v, int D, int slot, std::byte* block) {
    std::byte* to = block + slot / 2 * D * 4;
    for_vectors(D, [&](int d, int lanes) {
      const __m512i words = _mm512_cvtepu16_epi32(to_bf16(load_first(v + d, lanes)));
      const __m512i both = _mm512_or_si512(words, _mm512_slli_epi32(words, 16));
      const __mmask32 used = lanes == kLanes ? ~0u : (1u << 2 * lanes) - 1;
      _mm512_mask_storeu_epi16(to + d * 4, used & (slot % 2 ? 0xaaaaaaaau : 0x55555555u), both);
    });
  }
};

#endif

template <typename Pages>
void run_rows(const RopeArgs& args, int64_t row_begin, int64_t row_end) {
  const KvPages& kv = args.kv;
  const int D = kv.head_dim_D, H = args.num_heads_H, G = kv.num_heads_G;
  const int64_t half_bytes = int64_t(kPageTokens) * D * (Pages::kDType == DType::kF32 ? 4 : 2);
  alignas(64) float rotated[kMaxHeadDim], normed[kMaxHeadDim];
  const auto head = [&](const float* x, const float* norm_D) {
    if (!norm_D) return x;
    normalise(x, norm_D, D, args.norm_eps, normed);
    return static_cast<const float*>(normed);
  };
  for (int64_t t = row_begin; t < row_end; ++t) {
    const float* row = args.qkv + t * args.qkv_stride;
    const float* cos_sin = args.cos_sin ? args.cos_sin + int64_t(args.positions_T[t]) * D : nullptr;
    for (int h = 0; h < H; ++h) {
      rotate(head(row + h * D, args.q_norm_D), cos_sin, D, args.q_scale, rotated);
      for_vectors(D, [&](int d, int lanes) {
        store_as(args.q, Pages::kDType, t * args.q_stride + h * D + d, lanes, load_first(rotated + d, lanes));
      });
    }
    for (int g = 0; g < G; ++g) {
      rotate(head(row + (H + g) * D, args.k_norm_D), cos_sin, D, 1.0f, rotated);
      for (int32_t i = args.slot_begin_T1[t]; i < args.slot_begin_T1[t + 1]; ++i) {
        const Slot to = args.slots[i];
        std::byte* block = kv.data + (int64_t(to.page) * G + g) * 2 * half_bytes;
        Pages::write_keys(rotated, D, to.slot, block);
        Pages::write_values(row + (H + G + g) * D, D, to.slot, block + half_bytes);
      }
    }
  }
}

void run(const RopeArgs& args, int64_t row_begin, int64_t row_end) {
#if defined(MMPRM_ISA_AVX512BF16)
  if (args.kv.dtype == DType::kBF16) return run_rows<PagesBf16>(args, row_begin, row_end);
#endif
  run_rows<PagesF32>(args, row_begin, row_end);
}

}  // namespace

extern const RopeKernel rope;
const RopeKernel rope = {run};

}  // namespace mmprm::MMPRM_ISA
