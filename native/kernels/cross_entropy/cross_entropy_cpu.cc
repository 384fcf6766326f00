// cross_entropy, wide: one pass for the maximum, one for the exponentials and their sum, one to scale.
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/simd/activation.h"

namespace mmprm::MMPRM_ISA {
namespace {

void run(const CrossEntropyArgs& args, int64_t row_begin, int64_t row_end) {
  const int whole = args.V / kLanes * kLanes, rest = args.V - whole;
  for (int64_t r = row_begin; r < row_end; ++r) {
    float* x = args.logits + r * args.stride;
    float lanes[kLanes];
    Vec highest = splat(x[0]);
    for (int v = 0; v < whole; v += kLanes) highest = max(highest, load(x + v));
    store(lanes, highest);
    float m = lanes[0];
    for (float lane : lanes) m = lane > m || lane != lane ? lane : m;
    for (int v = whole; v < args.V; ++v) m = x[v] > m || x[v] != x[v] ? x[v] : m;

    const Vec m_v = splat(m);
    Vec sum{};
    for (int v = 0; v < whole; v += kLanes) {
      const Vec e = exp(load(x + v) - m_v);
      store(x + v, e);
      sum = sum + e;
    }
    for (float& lane : lanes) lane = 0;
    if (rest > 0) {
      store_first(lanes, rest, exp(load_first(x + whole, rest) - m_v));
      const Vec e = load(lanes);
      store_first(x + whole, rest, e);
      sum = sum + e;
    }
    store(lanes, sum);
    double total = 0;
    for (float lane : lanes) total += lane;

    const Vec scale = splat(float(args.scale[r] / total));
    for (int v = 0; v < whole; v += kLanes) store(x + v, load(x + v) * scale);
    if (rest > 0) store_first(x + whole, rest, load_first(x + whole, rest) * scale);
    args.lse[r] = float(double(m) + __builtin_log(total));
    args.largest[r] = m;
  }
}

}  // namespace

extern const CrossEntropyKernel cross_entropy;
const CrossEntropyKernel cross_entropy = {run};

}  // namespace mmprm::MMPRM_ISA
