// rope on CUDA, cases: every element is a few operations, so it is off by 8 u of the pair's size (with head norms, 24 u),
// then rounded. Slots that no row names, and the padding of heads, stay as they were.
#include "kernels/cuda_plan_case.h"
#include "kernels/rope/rope_cuda.h"

namespace mmprm::cuda {
namespace {

struct Shape {
  int D, H, G;
  DType dtype;
  bool rotated, normed;
};

constexpr int kRows = 5, kFirstRow = 2, kPositions = 11, kPages = 4, kLayers = 2;
constexpr float kEps = 1e-6f;

// A case's inputs; what rope must make of head `head` of row `row`.
struct Problem {
  Shape s;
  DeviceRows qkv, angles, q_norm, k_norm;
  StepPlan plan;

  explicit Problem(const Shape& s)
      : s(s),
        qkv(DType::kF32, kRows, (s.H + 2 * s.G) * s.D, (s.H + 2 * s.G) * s.D + 4),
        angles(DType::kF32, kPositions, s.D, s.D),
        q_norm(DType::kF32, 1, s.D, s.D),
        k_norm(DType::kF32, 1, s.D, s.D) {
    CaseNumbers numbers(s.D * 7 + s.H);
    qkv.fill_normal(numbers);
    q_norm.fill_normal(numbers);
    k_norm.fill_normal(numbers);
    angles.fill_normal(numbers, 0.5f);  // inputs like others: a host's cosines are not every host's
    for (int t = 0; t < kRows + kFirstRow; ++t) {
      plan.positions_T.push_back((t * 5 + 3) % kPositions);
      plan.slot_begin_T1.push_back(int(plan.slots.size()));
      for (int i = 0; i < t % 3; ++i) plan.slots.push_back({(t + i) % kPages, (3 * t + 5 * i) % kPageTokens});
    }
    plan.slot_begin_T1.push_back(int(plan.slots.size()));
  }

  std::vector<double> head(int row, int head) {
    const int D = s.D, half = D / 2;
    const bool is_q = head < s.H, is_k = !is_q && head < s.H + s.G;
    std::vector<double> x(D), out(D);
    double squares = 0;
    for (int d = 0; d < D; ++d) x[d] = qkv.get(row, head * D + d), squares += x[d] * x[d];
    if (s.normed && (is_q || is_k)) {
      for (int d = 0; d < D; ++d) x[d] *= (is_q ? q_norm : k_norm).get(0, d) / std::sqrt(squares / D + kEps);
    }
    if (!s.rotated || !(is_q || is_k)) return x;
    const int position = plan.positions_T[row + kFirstRow];
    for (int i = 0; i < half; ++i) {
      const double c = angles.get(position, i), sine = angles.get(position, half + i);
      out[i] = x[i] * c - x[half + i] * sine;
      out[half + i] = x[half + i] * c + x[i] * sine;
    }
    return out;
  }
};

uint64_t check(const Shape& s, const Chip&) {
  Problem p(s);
  PagePool pool(s.dtype, kLayers, s.G, s.D, kPages), before(s.dtype, kLayers, s.G, s.D, kPages);
  CaseNumbers numbers(5), again(5);
  pool.fill_normal(numbers);
  before.fill_normal(again);
  DeviceRows q(s.dtype, kRows, s.H * s.D, s.H * s.D + 8);
  Uploads uploads;
  const DevicePlan plan = upload_plan(p.plan, uploads);
  RopeOp op;
  op.q = tensor_of(q), op.qkv = tensor_of(p.qkv);
  if (s.rotated) op.angles = tensor_of(p.angles);
  op.first_row = kFirstRow, op.layer = 1, op.heads_H = s.H, op.q_scale = 0.25f;
  if (s.normed) op.q_norm = tensor_of(p.q_norm), op.k_norm = tensor_of(p.k_norm), op.norm_eps = kEps;
  require_ok(rope(op, plan, pool.pages, nullptr), "rope");
  q.download("rope's q");
  pool.block.download("rope's pages");

  const double rounding = (s.normed ? 24 : 8) * 0x1p-24 + (s.dtype == DType::kBF16 ? 0x1p-8 : 0);
  Hash hash;
  hash.add(q);
  for (int row = 0; row < kRows; ++row) {
    for (int h = 0; h < s.H + 2 * s.G; ++h) {
      const std::vector<double> wanted = p.head(row, h);
      double size = 0;
      for (double w : wanted) size = std::max(size, std::fabs(w));
      for (int d = 0; d < s.D && h < s.H; ++d)
        require_close(q.get(row, h * s.D + d), wanted[d] * 0.25, size * rounding, "q");
      const int t = row + kFirstRow, g = (h - s.H) % s.G, half = h < s.H + s.G ? 0 : 1;
      for (int i = p.plan.slot_begin_T1[t]; i < p.plan.slot_begin_T1[t + 1] && h >= s.H; ++i) {
        const Slot slot = p.plan.slots[i];
        for (int d = 0; d < s.D; ++d) {
          const int64_t at = pool.at(1, slot.page, g, half, slot.slot, d);
          require_close(pool.get(at), wanted[d], size * rounding, "key or value");
          before.set(at, pool.get(at));
        }
      }
    }
  }
  for (int64_t i = 0; i < kLayers * pool.pages.layer_elements(); ++i) {
    require(pool.get(i) == before.get(i), "rope wrote where no slot is");
    hash.add(uint32_t(bf16_of(pool.get(i))));
  }
  return hash.value();
}

}  // namespace

std::vector<KernelCase> rope_cases() {
  std::vector<KernelCase> cases;
  for (int D : {2, 16, 64, 72, 80, 128}) {
    for (const Shape& s : {Shape{D, 4, 2, DType::kBF16, true, false}, Shape{D, 3, 1, DType::kF32, true, true},
                           Shape{D, 2, 2, DType::kBF16, D != 64, D != 64}}) {
      const std::string name = std::string("rope ") + (s.dtype == DType::kF32 ? "f32" : "bf16") +
                               " D=" + std::to_string(D) + " H=" + std::to_string(s.H) +
                               (s.rotated ? "" : " still") + (s.normed ? " normed" : "");
      cases.push_back({name, [s](const Chip& chip) { return check(s, chip); }});
    }
  }
  return cases;
}

}  // namespace mmprm::cuda
