#include <cstring>
#include <numeric>

#include "cuda/plan_upload.h"

namespace mmprm::cuda {

PlanUpload::PlanUpload(cudaStream_t stream) : stream_(stream) {
  check(cudaEventCreateWithFlags(&copied_, cudaEventDisableTiming), "cudaEventCreate");
}

PlanUpload::~PlanUpload() { cudaEventDestroy(copied_); }

// WHY wait: the copies of the plan before may still read the pinned memory.
void PlanUpload::begin_copies(size_t bytes) {
  if (copying_) check(cudaEventSynchronize(copied_), "upload of a plan");
  copying_ = false;
  pinned_.reserve(bytes);
  used_ = 0;
}

void PlanUpload::end_copies() {
  check(cudaEventRecord(copied_, stream_), "upload of a plan");
  copying_ = true;
}

template <typename T>
const T* PlanUpload::put(int array, const std::vector<T>& values) {
  const size_t bytes = values.size() * sizeof(T);
  DeviceMemory& memory = arrays_[array];
  if (memory.bytes() < bytes || memory.bytes() == 0) {
    check(cudaStreamSynchronize(stream_), "upload of a plan");  // what runs may read the old one
    memory = DeviceMemory(bytes + bytes / 2 + 256);
    ++generation_;
  }
  if (bytes > 0) {
    std::memcpy(pinned_.data() + used_, values.data(), bytes);
    check(cudaMemcpyAsync(memory.as(), pinned_.data() + used_, bytes, cudaMemcpyHostToDevice, stream_),
          "upload of a plan");
    used_ += (bytes + 15) / 16 * 16;
  }
  return memory.as<const T>();
}

void PlanUpload::stage(const StepPlan& plan, const AttentionNeeds& needs) {
  plan_ = plan;
  const std::vector<int32_t> num_page_ops = {int32_t(plan.page_ops.size())};
  begin_copies(4 * (plan.tokens_T.size() + plan.positions_T.size() + plan.pages.size() +
                    plan.slot_begin_T1.size() + plan.output_rows.size() + plan.head_outputs.size()) +
               8 * (plan.keys_T.size() + plan.slots.size() + plan.page_ops.size()) +
               12 * plan.pair_outputs.size() + 16 * kArrays);
  DevicePlan& d = device_plan_;
  d.tokens_T = put(0, plan.tokens_T);
  d.positions_T = put(1, plan.positions_T);
  d.pages = put(2, plan.pages);
  d.slot_begin_T1 = put(3, plan.slot_begin_T1);
  d.output_rows = put(4, plan.output_rows);
  d.head_outputs = put(5, plan.head_outputs);
  d.keys_T = put(6, plan.keys_T);
  d.slots = put(7, plan.slots);
  d.page_ops = put(8, plan.page_ops);
  d.pair_outputs = put(9, plan.pair_outputs);
  d.num_page_ops = put(10, num_page_ops);
  end_copies();
  needs_ = {};
  if (needs.heads_H > 0) cut_attention(needs);
}

void PlanUpload::cut_attention(const AttentionNeeds& needs) {
  needs_ = needs;
  if (partials_.bytes() == 0) {
    partials_ = DeviceMemory(kPartialBytes);
    ++generation_;
  }
  const int max_partials = int(kPartialBytes / needs.partial_bytes());
  const int num_works = needs.window > 0 ? 4 : 2;
  std::vector<int32_t> lists[2] = {std::vector<int32_t>(plan_.keys_T.size()), plan_.output_rows};
  std::iota(lists[0].begin(), lists[0].end(), 0);
  std::vector<AttendRow> rows[2];
  for (int l = 0; l < 2; ++l) {
    for (int i = 0; i < int(lists[l].size()); ++i) rows[l].push_back({lists[l][i], i, 0});
  }
  std::vector<AttendWork> works;
  size_t bytes = 0;
  for (int w = 0; w < num_works; ++w) {
    const AttendLimits limits{needs.rows_per_item(), max_partials, 2 * needs.multiprocessors / needs.heads_G,
                              w < 2 ? 0 : needs.window};
    works.push_back(plan_attention(plan_, lists[w % 2], limits));
    bytes += works[w].items.size() * sizeof(AttendItem) +
             (works[w].rows.size() + works[w].merges.size() + rows[w % 2].size()) * sizeof(AttendRow) + 256;
  }
  begin_copies(bytes);
  for (int w = 0; w < num_works; ++w) put_work(w, works[w], rows[w % 2], max_partials);
  end_copies();
}

void PlanUpload::put_work(int place, const AttendWork& work, const std::vector<AttendRow>& rows,
                          int max_partials) {
  const std::vector<int32_t> counts = {int32_t(work.items.size()), int32_t(work.merges.size()),
                                       int32_t(rows.size())};
  DeviceAttendWork& d = work_[place];
  const int first = 11 + 5 * place;
  d.items = put(first, work.items);
  d.rows = put(first + 1, work.rows);
  d.merges = put(first + 2, work.merges);
  d.all_rows = put(first + 3, rows);
  d.num_items = put(first + 4, counts);
  d.num_merges = d.num_items + 1;
  d.num_rows = d.num_items + 2;
  d.max_rows = d.max_merges = int(rows.size());
  d.partial_o = partials_.as<float>();
  d.partial_ml = reinterpret_cast<float2*>(partials_.as<float>() +
                                           int64_t(max_partials) * needs_.heads_H * needs_.padded_D);
}

}  // namespace mmprm::cuda
