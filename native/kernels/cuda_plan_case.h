// Plans, pages and attention's work in device memory, for cases.
#pragma once
#include <memory>
#include <numeric>

#include "cuda/plan.h"
#include "kernels/attention/attention_cuda.h"
#include "kernels/cuda_case.h"

namespace mmprm::cuda {

inline Tensor tensor_of(const DeviceRows& rows, int first = 0, int count = -1) {
  return {address_of(rows.at(first)), rows.dtype, count < 0 ? rows.rows - first : count, rows.cols,
          rows.stride};
}

// Vectors in device memory; they live as long as this does.
class Uploads {
 public:
  template <typename T>
  const T* add(const std::vector<T>& values) {
    std::unique_ptr<DeviceBlock> block =
        std::make_unique<DeviceBlock>(std::max<size_t>(1, values.size() * sizeof(T)));
    if (!values.empty()) std::memcpy(block->host_as<T>(), values.data(), values.size() * sizeof(T));
    block->upload();
    blocks_.push_back(std::move(block));
    return blocks_.back()->device_as<T>();
  }

 private:
  std::vector<std::unique_ptr<DeviceBlock>> blocks_;
};

inline DevicePlan upload_plan(const StepPlan& plan, Uploads& uploads) {
  DevicePlan d;
  d.tokens_T = uploads.add(plan.tokens_T);
  d.positions_T = uploads.add(plan.positions_T);
  d.pages = uploads.add(plan.pages);
  d.keys_T = uploads.add(plan.keys_T);
  d.slots = uploads.add(plan.slots);
  d.slot_begin_T1 = uploads.add(plan.slot_begin_T1);
  d.page_ops = uploads.add(plan.page_ops);
  d.num_page_ops = uploads.add(std::vector<int32_t>{int32_t(plan.page_ops.size())});
  d.output_rows = uploads.add(plan.output_rows);
  d.head_outputs = uploads.add(plan.head_outputs);
  d.pair_outputs = uploads.add(plan.pair_outputs);
  return d;
}

// A pool of pages with a copy on the host. Every slot holds a finite number, as the engine keeps them.
class PagePool {
 public:
  PagePool(DType dtype, int layers, int heads_G, int D, int count)
      : pages{nullptr, dtype, layers, count, heads_G, D, padded_head(D)},
        block(size_t(layers) * pages.layer_elements() * dtype_bytes(dtype)) {
    pages.data = block.device();
    std::memset(block.host_as<uint8_t>(), 0, block.bytes());
  }
  int64_t at(int layer, int page, int head, int half, int slot, int d) const {
    return layer * pages.layer_elements() + page * pages.page_elements() +
           (2 * head + half) * pages.half_elements() + slot * pages.padded_D + d;
  }
  float get(int64_t i) {
    return pages.dtype == DType::kF32 ? block.host_as<float>()[i] : float_of(block.host_as<uint16_t>()[i]);
  }
  void set(int64_t i, float v) {
    if (pages.dtype == DType::kF32) {
      block.host_as<float>()[i] = v;
    } else {
      block.host_as<uint16_t>()[i] = bf16_of(v);
    }
  }
  // All but the padding of heads.
  void fill_normal(CaseNumbers& numbers) {
    const int64_t rows = int64_t(pages.layers) * pages.layer_elements() / pages.padded_D;
    for (int64_t r = 0; r < rows; ++r) {
      for (int d = 0; d < pages.head_dim_D; ++d) set(r * pages.padded_D + d, numbers.normal());
    }
    block.upload();
  }

  DevicePages pages;
  DeviceBlock block;
};

// Work for `rows` of a plan, on the device.
struct UploadedWork {
  DeviceAttendWork work;
  std::unique_ptr<DeviceBlock> o, ml;

  UploadedWork(const StepPlan& plan, const std::vector<int32_t>& rows, const AttendLimits& limits,
               const DevicePages& pages, int heads_H, Uploads& uploads) {
    const AttendWork w = plan_attention(plan, rows, limits);
    std::vector<AttendRow> all;
    for (int i = 0; i < int(rows.size()); ++i) all.push_back({rows[i], i, 0});
    work.items = uploads.add(w.items);
    work.rows = uploads.add(w.rows);
    work.merges = uploads.add(w.merges);
    work.all_rows = uploads.add(all);
    work.num_items = uploads.add(std::vector<int32_t>{int32_t(w.items.size())});
    work.num_merges = uploads.add(std::vector<int32_t>{int32_t(w.merges.size())});
    work.num_rows = uploads.add(std::vector<int32_t>{int32_t(all.size())});
    work.max_rows = int(all.size()) + 1;
    work.max_merges = w.merges.empty() ? 0 : int(w.merges.size()) + 1;
    o = std::make_unique<DeviceBlock>(
        std::max<size_t>(16, size_t(w.num_partials) * heads_H * pages.padded_D * 4));
    ml = std::make_unique<DeviceBlock>(std::max<size_t>(16, size_t(w.num_partials) * heads_H * 8));
    work.partial_o = o->device_as<float>();
    work.partial_ml = ml->device_as<float2>();
  }
};

}  // namespace mmprm::cuda
