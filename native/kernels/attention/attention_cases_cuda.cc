// attention on CUDA, cases: decode, prefill, shared prefixes, trees and vision. However the work is cut, alone or among
// others, chunks walked or merged: the same bits. Against double: q·k in bf16 products is off by (D/16 + 4) · 4 u of
// ‖q‖‖k‖ (Ampere; F32: (D + 4) u), which moves a weight by as much relative to itself, and a weighted mean of values by
// twice that of the largest value; weights rounded to bf16 add 2^-8 of the mean of |v|, sums and merges a little.
#include <cmath>

#include "kernels/cuda_plan_case.h"

namespace mmprm::cuda {
namespace {

struct Shape {
  const char* name;
  int D, H, G;
  DType dtype = DType::kBF16;
  int window = 0;
};

// Sequences of rows over pages, as the scheduler plans them.
struct Scene {
  StepPlan plan;
  int num_pages = 0;

  // `num_keys` positions, of which the first come from `shared` pages; rows for the last `num_rows` of them.
  void sequence(int num_keys, int num_rows, const std::vector<int32_t>& shared = {}, bool causal = true) {
    const int first = int(plan.pages.size()), pages = (num_keys + kPageTokens - 1) / kPageTokens;
    for (int p = 0; p < pages; ++p) plan.pages.push_back(p < int(shared.size()) ? shared[p] : num_pages++);
    for (int r = num_keys - num_rows; r < num_keys; ++r)
      plan.keys_T.push_back({first, causal ? r + 1 : num_keys});
  }
  std::vector<int32_t> fresh_pages(int count) {
    std::vector<int32_t> pages(count);
    for (int32_t& p : pages) p = num_pages++;
    return pages;
  }
};

struct Data {
  Shape s;
  Scene scene;
  int rows;
  PagePool pool;
  DeviceRows q;

  Data(const Shape& s, const Scene& scene)
      : s(s),
        scene(scene),
        rows(int(scene.plan.keys_T.size())),
        pool(s.dtype, 2, s.G, s.D, scene.num_pages),
        q(s.dtype, rows, s.H * s.D, s.H * s.D + 8) {
    CaseNumbers numbers(uint64_t(s.D) * 1000 + rows);
    pool.fill_normal(numbers);
    q.fill_normal(numbers, 1.0f / std::sqrt(float(s.D)));
  }

  AttendKernel kernel(const Chip& chip) const {
    return attend_kernel(chip.chip_class, s.dtype, pool.pages.padded_D);
  }
  // Attends for `list`; o's row i is list[i].
  void run(const std::vector<int32_t>& list, const AttendLimits& limits, AttendKernel kernel, DeviceRows& o,
           const Chip& chip) {
    Uploads uploads;
    const DevicePlan plan = upload_plan(scene.plan, uploads);
    const UploadedWork work(scene.plan, list, limits, pool.pages, s.H, uploads);
    AttentionOp op;
    op.o = tensor_of(o);
    op.q = tensor_of(q);
    op.layer = 1, op.heads_H = s.H, op.window = s.window;
    require_ok(attention(op, plan, pool.pages, work.work, kernel, chip.multiprocessors, nullptr),
               "attention");
    o.download("attention");
  }
};

void require_near_double(Data& data, DeviceRows& o, int t, int h) {
  const int D = data.s.D, g = h / (data.s.H / data.s.G);
  const KeyRun run = data.scene.plan.keys_T[t];
  const double u = 0x1p-24, steps = data.s.dtype == DType::kF32 ? (D + 4) * u : (D / 16 + 4) * 4 * u;
  const auto at = [&](int key, int half, int d) {
    return double(data.pool.get(data.pool.at(1, data.scene.plan.pages[run.first + key / kPageTokens], g, half,
                                             key % kPageTokens, d)));
  };
  const int first = data.s.window > 0 ? std::max(0, run.num_keys - data.s.window) : 0;
  std::vector<double> weights(run.num_keys);
  double highest = -1e300, sum = 0, score_error = 0;
  for (int key = first; key < run.num_keys; ++key) {
    double s = 0, qq = 0, kk = 0;
    for (int d = 0; d < D; ++d) {
      const double q = data.q.get(t, h * D + d), k = at(key, 0, d);
      s += q * k, qq += q * q, kk += k * k;
    }
    weights[key] = s;
    highest = std::max(highest, s);
    score_error = std::max(score_error, steps * std::sqrt(qq * kk) + 4 * u * std::fabs(s) + 4e-7);
  }
  for (int key = first; key < run.num_keys; ++key) sum += weights[key] = std::exp(weights[key] - highest);
  for (int d = 0; d < D; ++d) {
    double value = 0, size = 0;
    for (int key = first; key < run.num_keys; ++key) {
      value += weights[key] / sum * at(key, 1, d);
      size += weights[key] / sum * std::fabs(at(key, 1, d));
    }
    const double rounding =
        data.s.dtype == DType::kF32 ? (run.num_keys + 16) * u : 0x1p-8 + (run.num_keys / 16 + 16) * 4 * u;
    const double error =
        (4 * score_error + rounding) * size + (data.s.dtype == DType::kF32 ? u : 0x1p-8) * std::fabs(value);
    require_close(
        o.get(t, h * D + d), value, error,
        "row " + std::to_string(t) + " head " + std::to_string(h) + " element " + std::to_string(d));
  }
}

// Chunks before the window of the last row are not read: what is no number there does not matter.
void check_unread_chunks(Data& data, DeviceRows& walked, int rows_per_item, const Chip& chip) {
  const KeyRun run = data.scene.plan.keys_T.back();
  const int last = data.rows - 1, unseen = run.num_keys - data.s.window;
  if (data.s.window == 0 || unseen < kChunkTokens) return;
  for (int n = 0; n < unseen / kChunkTokens * kChunkTokens; ++n) {
    const int page = data.scene.plan.pages[run.first + n / kPageTokens];
    for (int i = 0; i < 2 * data.s.G * data.s.D; ++i) {
      const int half = i / data.s.D;
      data.pool.set(data.pool.at(1, page, half / 2, half % 2, n % kPageTokens, i % data.s.D), NAN);
    }
  }
  data.pool.block.upload();
  for (const AttendLimits& limits :
       {AttendLimits{rows_per_item, 0, 0, data.s.window}, {1, 1 << 20, 1 << 20, data.s.window}}) {
    DeviceRows o(data.s.dtype, 1, data.s.H * data.s.D, data.s.H * data.s.D + 8);
    data.run({last}, limits, data.kernel(chip), o, chip);
    require_same_bits(o, 0, walked, last, "with chunks before the window that hold no numbers");
  }
}

// `list`: rows whose attention is asked for; one in `step` of them is compared with double.
uint64_t check(const Shape& s, const Scene& scene, const Chip& chip) {
  Data data(s, scene);
  std::vector<int32_t> all(data.rows);
  std::iota(all.begin(), all.end(), 0);
  const int rows_per_item = kAttendRows / (s.H / s.G);
  const auto result = [&](const std::vector<int32_t>& list, const AttendLimits& limits) {
    auto o = std::make_unique<DeviceRows>(s.dtype, int(list.size()), s.H * s.D, s.H * s.D + 8);
    data.run(list, limits, data.kernel(chip), *o, chip);
    return o;
  };
  const auto walked = result(all, {rows_per_item, 0, 0, s.window});
  const int step = data.rows > 6 ? data.rows / 5 : 1;
  for (int t = 0; t < data.rows; t += step) {
    for (int h = 0; h < s.H; ++h) require_near_double(data, *walked, t, h);
  }
  const AttendLimits others[] = {{rows_per_item, 1 << 20, 1 << 20, s.window},
                                 {1, 1 << 20, 0, s.window},
                                 {rows_per_item, 12, 1 << 20, s.window},
                                 {std::max(1, rows_per_item / 3), 0, 0, s.window}};
  for (const AttendLimits& limits : others) {
    const auto o = result(all, limits);
    for (int r = 0; r < data.rows; ++r) require_same_bits(*o, r, *walked, r, "cut in another way");
  }
  if (data.kernel(chip) == AttendKernel::kWgmma) {
    DeviceRows o(s.dtype, data.rows, s.H * s.D, s.H * s.D + 8);
    data.run(all, others[0], AttendKernel::kMma, o, chip);
    for (int r = 0; r < data.rows; ++r) require_same_bits(o, r, *walked, r, "by mma.sync");
  }
  std::vector<int32_t> some;
  for (int r = data.rows - 1; r >= 0; r -= 3) some.insert(some.begin(), r);
  const auto part = result(some, {rows_per_item, 1 << 20, 8, s.window});
  for (int i = 0; i < int(some.size()); ++i)
    require_same_bits(*part, i, *walked, some[i], "of some rows alone");
  check_unread_chunks(data, *walked, rows_per_item, chip);
  Hash hash;
  hash.add(*walked);
  return hash.value();
}

Scene decode_scene() {
  Scene scene;
  scene.sequence(1, 1);
  scene.sequence(300, 1);
  const std::vector<int32_t> prefix = scene.fresh_pages(20);  // 320 positions
  for (int i = 0; i < 5; ++i) scene.sequence(325 + 7 * i, 1, prefix);
  scene.sequence(256, 1);
  return scene;
}

Scene prefill_scene(int keys, int rows) {
  Scene scene;
  scene.sequence(keys, rows);
  scene.sequence(37, 37);
  return scene;
}

// A prefix of 270 and three branches, which part in the middle of a page, so that each owns a copy of it.
Scene tree_scene() {
  Scene scene;
  scene.sequence(270, 30);
  const std::vector<int32_t> prefix(scene.plan.pages.begin(), scene.plan.pages.begin() + 16);
  for (int branch : {9, 40, 21}) scene.sequence(270 + branch, branch, prefix);
  return scene;
}

Scene vision_scene(int keys) {
  Scene scene;
  scene.sequence(keys, keys, {}, false);
  scene.sequence(keys, keys, {}, false);
  return scene;
}

}  // namespace

std::vector<KernelCase> attention_cases() {
  std::vector<KernelCase> cases;
  const auto add = [&](const Shape& s, const char* scene_name, const Scene& scene) {
    const std::string name = std::string("attention ") + (s.dtype == DType::kF32 ? "f32" : "bf16") +
                             " D=" + std::to_string(s.D) + " H=" + std::to_string(s.H) +
                             " G=" + std::to_string(s.G) + " " + scene_name +
                             (s.window > 0 ? " behind a window of " + std::to_string(s.window) : "");
    cases.push_back({name, [s, scene](const Chip& chip) { return check(s, scene, chip); }});
  };
  for (DType dtype : {DType::kBF16, DType::kF32}) {
    add({"", 128, 4, 1, dtype}, "decode", decode_scene());
    add({"", 64, 3, 3, dtype}, "vision", vision_scene(83));
    add({"", 16, 4, 2, dtype}, "prefill", prefill_scene(530, 40));
  }
  add({"", 64, 14, 2}, "decode", decode_scene());
  add({"", 72, 2, 2}, "tree", tree_scene());
  add({"", 80, 2, 1}, "prefill", prefill_scene(290, 33));
  add({"", 128, 8, 2}, "tree", tree_scene());
  add({"", 20, 2, 1}, "prefill", prefill_scene(70, 70));
  // Windows of a row itself, from a tile's edge on, and from the middle of a tile in the chunk before.
  for (int window : {1, 64, 300})
    add({"", 64, 2, 1, DType::kBF16, window}, "prefill", prefill_scene(530, 20));
  add({"", 128, 2, 1, DType::kBF16, 270}, "decode", decode_scene());
  for (DType dtype : {DType::kBF16, DType::kF32}) add({"", 16, 2, 1, dtype, 20}, "tree", tree_scene());
  return cases;
}

}  // namespace mmprm::cuda
