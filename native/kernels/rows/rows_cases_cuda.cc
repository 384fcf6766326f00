// Moving rows on CUDA, cases: exact. Pair readout against double, off by the rounding of its result.
#include "kernels/cuda_plan_case.h"
#include "kernels/pages/pages_cuda.h"
#include "kernels/pair/pair_cuda.h"
#include "kernels/picture/picture_cuda.h"
#include "kernels/rows/rows_cuda.h"

namespace mmprm::cuda {
namespace {

void require_equal(DeviceRows& y, int row, int col, float wanted) {
  require(y.get(row, col) == wanted, "row " + std::to_string(row) + " column " + std::to_string(col) +
                                         " is " + std::to_string(y.get(row, col)) + ", not " +
                                         std::to_string(wanted));
}

uint64_t hash_of(DeviceRows& rows) {
  Hash hash;
  hash.add(rows);
  return hash.value();
}

uint64_t embed_case(const Chip&) {
  CaseNumbers numbers(1);
  DeviceRows images(DType::kF32, 6, 40, 44), x(DType::kF32, 7, 40, 43);
  images.fill_normal(numbers);
  StepPlan plan;
  plan.tokens_T = {3, -1, 0, -6, 9, 9, -2};
  Uploads uploads;
  const DevicePlan on_device = upload_plan(plan, uploads);
  Hash hash;
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    DeviceRows table(dtype, 10, 40, 48);
    table.fill_normal(numbers);
    x.block.poison();
    require_ok(
        embed({tensor_of(x), {}, {}, tensor_of(images)}, on_device, {table.at(), dtype, 10, 40, 48}, nullptr),
        "embed");
    x.download("embed");
    for (int t = 0; t < 7; ++t) {
      const int token = plan.tokens_T[t];
      for (int c = 0; c < 40; ++c)
        require_equal(x, t, c, token < 0 ? images.get(-1 - token, c) : table.get(token, c));
    }
    hash.add(x);
  }
  return hash.value();
}

uint64_t embed_f16_case(const Chip&) {
  const std::vector<uint16_t> halves = {0x0000, 0x8000, 0x3c00, 0xc000, 0x0001, 0x83ff,
                                        0x7bff, 0x0400, 0x7c00, 0xfc00, 0x3555};
  const float wanted[] = {0,     -0.0f,    1,        -2,        0x1p-24f,   -1023 * 0x1p-24f,
                          65504, 0x1p-14f, INFINITY, -INFINITY, 0x1.554p-2f};
  Uploads uploads;
  StepPlan plan;
  plan.tokens_T = {0};
  DeviceRows x(DType::kF32, 1, int(halves.size()), 16);
  require_ok(embed({tensor_of(x), {}, {}, {}}, upload_plan(plan, uploads),
                   {uploads.add(halves), DType::kF16, 1, int(halves.size()), 11}, nullptr),
             "embed");
  x.download("embed");
  for (int c = 0; c < x.cols; ++c) {
    require_equal(x, 0, c, wanted[c]);
    require(std::signbit(x.get(0, c)) == std::signbit(wanted[c]), "a sign is lost");
  }
  return hash_of(x);
}

uint64_t add_image_rows_case(const Chip&) {
  CaseNumbers numbers(9);
  DeviceRows images(DType::kF32, 6, 40, 84), x(DType::kF32, 5, 40, 43), before(DType::kF32, 5, 40, 43);
  images.fill_normal(numbers);
  StepPlan plan;
  plan.tokens_T = {3, -1, 0, -6, -2};
  plan.output_rows = {1, 2, 4};
  Uploads uploads;
  const DevicePlan on_device = upload_plan(plan, uploads);
  Hash hash;
  for (bool outputs_only : {false, true}) {
    const int rows = outputs_only ? 3 : 5;
    x.fill_normal(numbers);
    for (int t = 0; t < rows; ++t) {
      for (int c = 0; c < 40; ++c) before.set(t, c, x.get(t, c));
    }
    require_ok(
        add_image_rows({tensor_of(x, 0, rows), {}, tensor_of(images), outputs_only}, on_device, nullptr),
        "add_image_rows");
    x.download("add_image_rows");
    for (int t = 0; t < rows; ++t) {
      const int token = plan.tokens_T[outputs_only ? plan.output_rows[t] : t];
      for (int c = 0; c < 40; ++c)
        require_equal(x, t, c, before.get(t, c) + (token < 0 ? images.get(-1 - token, c) : 0));
    }
    hash.add(x);
  }
  return hash.value();
}

uint64_t gather_case(const Chip&) {
  CaseNumbers numbers(2);
  DeviceRows x(DType::kF32, 9, 37, 40), y(DType::kF32, 4, 37, 41);
  x.fill_normal(numbers);
  StepPlan plan;
  plan.output_rows = {0, 3, 4, 8};
  plan.head_outputs = {3, 1, 2, 0};
  plan.pair_outputs = {{2, {0, 0}}, {2, {1, 5}}, {0, {0, 1}}, {3, {4, 2}}};
  Uploads uploads;
  const DevicePlan on_device = upload_plan(plan, uploads);
  Hash hash;
  for (RowList list : {RowList::kOutputs, RowList::kHeadOutputs, RowList::kPairOutputs}) {
    y.block.poison();
    require_ok(gather({tensor_of(y), tensor_of(x), {}, list}, on_device, nullptr), "gather");
    y.download("gather");
    for (int i = 0; i < 4; ++i) {
      const int from = list == RowList::kOutputs       ? plan.output_rows[i]
                       : list == RowList::kHeadOutputs ? plan.head_outputs[i]
                                                       : plan.pair_outputs[i].output;
      for (int c = 0; c < 37; ++c) require_equal(y, i, c, x.get(from, c));
    }
    hash.add(y);
  }
  return hash.value();
}

uint64_t copy_case(const Chip&) {
  CaseNumbers numbers(3);
  Hash hash;
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    DeviceRows x(dtype, 3, 21, 24), y(dtype, 3, 21, 29), many(DType::kF32, 8, 21, 22);
    x.fill_normal(numbers);
    require_ok(copy({tensor_of(y), tensor_of(x)}, nullptr), "copy");
    y.download("copy");
    for (int r = 0; r < 3; ++r) require_same_bits(y, r, x, r, "after a copy");
    hash.add(y);
    if (dtype != DType::kF32) continue;
    require_ok(repeat({tensor_of(many), tensor_of(x)}, nullptr), "repeat");
    many.download("repeat");
    for (int r = 0; r < 8; ++r) require_same_bits(many, r, x, r % 3, "after a repeat");
  }
  return hash.value();
}

uint64_t pair_case(const Chip&) {
  CaseNumbers numbers(4);
  Hash hash;
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    for (int C : {5, 300, 4096}) {
      DeviceRows x(DType::kF32, 3, C, C + 1), head(dtype, 9, C, C + 3), y(DType::kF32, 3, 2, 4);
      x.fill_normal(numbers);
      head.fill_normal(numbers);
      StepPlan plan;
      plan.pair_outputs = {{0, {8, 0}}, {0, {1, 1}}, {2, {3, 7}}};
      Uploads uploads;
      require_ok(pair({tensor_of(y), tensor_of(x), {}, {}}, upload_plan(plan, uploads),
                      {head.at(), dtype, 9, C, C + 3}, nullptr),
                 "pair");
      y.download("pair");
      for (int i = 0; i < 3; ++i) {
        for (int j = 0; j < 2; ++j) {
          double sum = 0, size = 0;
          for (int c = 0; c < C; ++c) {
            const double product = double(x.get(i, c)) * head.get(plan.pair_outputs[i].ids[j], c);
            sum += product, size += std::fabs(product);
          }
          require_close(y.get(i, j), sum, 0x1p-24 * std::fabs(sum) + C * 0x1p-52 * size, "logit");
        }
      }
      hash.add(y);
    }
  }
  return hash.value();
}

uint64_t pages_case(const Chip&) {
  Hash hash;
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    PagePool pool(dtype, 2, 3, 72, 6), wanted(dtype, 2, 3, 72, 6);
    CaseNumbers numbers(6), again(6);
    pool.fill_normal(numbers);
    wanted.fill_normal(again);
    StepPlan plan;
    plan.page_ops = {{0, 1}, {-1, 0}, {1, 2}, {0, 3}, {2, 0}};  // each sees what the one before it left
    Uploads uploads;
    require_ok(prepare_pages(pool.pages, upload_plan(plan, uploads), nullptr), "pages");
    pool.block.download("pages");
    for (const PageOp& op : plan.page_ops) {
      for (int layer = 0; layer < 2; ++layer) {
        for (int64_t i = 0; i < pool.pages.page_elements(); ++i) {
          const int64_t base = layer * pool.pages.layer_elements(), page = pool.pages.page_elements();
          wanted.set(base + op.to * page + i, op.from < 0 ? 0 : wanted.get(base + op.from * page + i));
        }
      }
    }
    for (int64_t i = 0; i < 2 * pool.pages.layer_elements(); ++i) {
      require(pool.get(i) == wanted.get(i), "element " + std::to_string(i) + " of the pages");
      hash.add(uint32_t(bf16_of(pool.get(i))));
    }
  }
  return hash.value();
}

uint64_t patches_case(const Chip&) {
  CaseNumbers numbers(7);
  Hash hash;
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    const int size = 12, patch = 4, side = size / patch, channels = 3, tiles = 2;
    DeviceRows pixels(DType::kF32, tiles * channels * size, size, size),
        y(dtype, tiles * side * side, channels * patch * patch, 56);
    pixels.fill_normal(numbers);
    PatchesOp op;
    op.y = tensor_of(y), op.pixels = tensor_of(pixels), op.channels = channels, op.patch_size = patch;
    require_ok(patches(op, nullptr), "patches");
    y.download("patches");
    for (int r = 0; r < y.rows; ++r) {
      const int tile = r / (side * side), top = r % (side * side) / side * patch, left = r % side * patch;
      for (int k = 0; k < y.cols; ++k) {
        const int channel = k / (patch * patch),
                  row = (tile * channels + channel) * size + top + k / patch % patch;
        const float v = pixels.get(row, left + k % patch);
        require_equal(y, r, k, dtype == DType::kF32 ? v : float_of(bf16_of(v)));
      }
    }
    hash.add(y);
  }
  return hash.value();
}

uint64_t fold_case(DType y_dtype) {
  CaseNumbers numbers(8);
  const int C = 5, side = 4, f = 2, skip = 1, tiles = 2, rows = (side / f) * (side / f);
  DeviceRows x(DType::kF32, tiles * (skip + side * side), C, 8), y(y_dtype, tiles * rows, f * f * C, 24);
  x.fill_normal(numbers);
  Hash hash;
  for (bool transposed : {false, true}) {
    y.block.poison();
    FoldOp op;
    op.y = tensor_of(y), op.x = tensor_of(x), op.side = side, op.factor = f, op.skip = skip,
    op.transposed = transposed;
    require_ok(fold(op, nullptr), "fold");
    y.download("fold");
    for (int r = 0; r < y.rows; ++r) {
      int R = r % rows / (side / f), Q = r % (side / f);
      if (transposed) std::swap(R, Q);
      for (int i = 0; i < y.cols; ++i) {
        const int d = i / C, patch = (f * R + d / f) * side + f * Q + d % f;
        const float v = x.get(r / rows * (skip + side * side) + skip + patch, i % C);
        require_equal(y, r, i, y_dtype == DType::kF32 ? v : float_of(bf16_of(v)));
      }
    }
    hash.add(y);
  }
  return hash.value();
}

}  // namespace

std::vector<KernelCase> rows_cases() {
  return {{"embed", embed_case},
          {"embed f16", embed_f16_case},
          {"gather", gather_case},
          {"copy and repeat", copy_case},
          {"pair", pair_case},
          {"page operations", pages_case},
          {"patches", patches_case},
          {"fold", [](const Chip&) { return fold_case(DType::kF32); }},
          {"fold bf16", [](const Chip&) { return fold_case(DType::kBF16); }},
          {"add image rows", add_image_rows_case}};
}

}  // namespace mmprm::cuda
