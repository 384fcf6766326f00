// The oracle of rope: element by element through the page layout, in double.
#include <cmath>

#include "base/float_types.h"
#include "kernels/rope/rope.h"

namespace mmprm::reference {
namespace {

// Element `d` of head `x`, normed where there are weights for it.
double normed(const RopeArgs& args, const float* x, const float* norm_D, int d) {
  if (!norm_D) return x[d];
  double squares = 0;
  for (int i = 0; i < args.kv.head_dim_D; ++i) squares += double(x[i]) * x[i];
  return x[d] * norm_D[d] / std::sqrt(squares / args.kv.head_dim_D + args.norm_eps);
}

// The same, rotated to the row's position.
double rotated(const RopeArgs& args, int64_t row, const float* x, const float* norm_D, int d) {
  const int half = args.kv.head_dim_D / 2, i = d % half;
  if (!args.cos_sin) return normed(args, x, norm_D, d);
  const float* cos = args.cos_sin + int64_t(args.positions_T[row]) * 2 * half;
  const double c = cos[i], s = cos[half + i];
  const double low = normed(args, x, norm_D, i), high = normed(args, x, norm_D, half + i);
  return d < half ? low * c - high * s : high * c + low * s;
}

void write_slot(const RopeArgs& args, int64_t row, const Slot& to) {
  const KvPages& kv = args.kv;
  const int D = kv.head_dim_D, s = to.slot;
  const bool pairs = kv.dtype == DType::kBF16;
  for (int g = 0; g < kv.num_heads_G; ++g) {
    const float* k = args.qkv + row * args.qkv_stride + int64_t(args.num_heads_H + g) * D;
    const float* v = k + int64_t(kv.num_heads_G) * D;
    for (int d = 0; d < D; ++d) {
      const int key_at = pairs ? (d / 2 * kPageTokens + s) * 2 + d % 2 : d * kPageTokens + s;
      const int value_at = pairs ? (s / 2 * D + d) * 2 + s % 2 : s * D + d;
      store_from_f32(kv.keys(to.page, g), kv.dtype, key_at, float(rotated(args, row, k, args.k_norm_D, d)));
      store_from_f32(kv.values(to.page, g), kv.dtype, value_at, v[d]);
    }
  }
}

void run(const RopeArgs& args, int64_t row_begin, int64_t row_end) {
  const int D = args.kv.head_dim_D;
  for (int64_t t = row_begin; t < row_end; ++t) {
    for (int h = 0; h < args.num_heads_H; ++h) {
      const float* q = args.qkv + t * args.qkv_stride + int64_t(h) * D;
      for (int d = 0; d < D; ++d) {
        store_from_f32(args.q, args.kv.dtype, t * args.q_stride + int64_t(h) * D + d,
                       float(rotated(args, t, q, args.q_norm_D, d) * args.q_scale));
      }
    }
    for (int32_t i = args.slot_begin_T1[t]; i < args.slot_begin_T1[t + 1]; ++i)
      write_slot(args, t, args.slots[i]);
  }
}

}  // namespace

extern const RopeKernel rope;
const RopeKernel rope = {run};

}  // namespace mmprm::reference
