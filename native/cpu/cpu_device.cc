// Memory, weights, pages and plans of the CPU; cpu_ops.cc has the ops.
#include "cpu/cpu_device.h"

#include <unistd.h>

#include <cstring>
#include <string>

#include "base/cpu_features.h"
#include "cpu/cpu_training.h"
#include "device/address.h"
#include "include/engine/error.h"
#include "kernels/gemm/gated_rows.h"

namespace mmprm {
namespace {

uint64_t memory_bytes(int name) {
  return uint64_t(std::max(0L, ::sysconf(name))) * uint64_t(::sysconf(_SC_PAGESIZE));
}

void copy_text(std::string_view text, char* to, size_t size) { to[text.copy(to, size - 1)] = '\0'; }

}  // namespace

CpuDevice::CpuDevice(Isa isa, int num_threads) : kernels_(kernel_table(isa)), pool_(num_threads) {
  copy_text("cpu", info_.kind, sizeof info_.kind);
  copy_text(isa_name(isa), info_.result_class, sizeof info_.result_class);
  const std::string threads = num_threads == 1 ? "1 thread" : std::to_string(num_threads) + " threads";
  copy_text(std::string(isa_name(isa)) + ", " + threads, info_.name, sizeof info_.name);
  info_.num_threads = num_threads;
  info_.total_bytes = memory_bytes(_SC_PHYS_PAGES);
  // WHY so few: activations between two products stay in cache, and 512 rows amortise the weights already.
  info_.row_block = 512;
  for (DType weights : {DType::kF32, DType::kBF16, DType::kF16, DType::kInt8, DType::kInt4})
    info_.activations[int(weights)] = activation_dtype(isa, weights);
}

uint64_t CpuDevice::free_bytes() const { return memory_bytes(_SC_AVPHYS_PAGES); }

Tensor CpuDevice::allocate(int rows, int cols, DType dtype) {
  return allocate(rows, cols, dtype, activation_stride(cols, dtype));
}

Tensor CpuDevice::allocate(int rows, int cols, DType dtype, int64_t stride) {
  AlignedBuffer memory(std::max<size_t>(1, size_t(rows) * stride * dtype_bytes(dtype)));
  const Tensor tensor{address_of(memory.data()), dtype, rows, cols, stride};
  tensors_.emplace(tensor.at.value, std::move(memory));
  return tensor;
}

void CpuDevice::release(const Tensor& tensor) noexcept { tensors_.erase(tensor.at.value); }

void CpuDevice::write(const Tensor& to, const void* rows) {
  const size_t bytes = size_t(to.cols) * dtype_bytes(to.dtype);
  for (int r = 0; r < to.rows; ++r)
    std::memcpy(memory_of(to.part(r, 1)), static_cast<const std::byte*>(rows) + r * bytes, bytes);
}

void CpuDevice::read(void* rows, const Tensor& from) {
  const size_t bytes = size_t(from.cols) * dtype_bytes(from.dtype);
  for (int r = 0; r < from.rows; ++r)
    std::memcpy(static_cast<std::byte*>(rows) + r * bytes, memory_of(from.part(r, 1)), bytes);
}

Linear CpuDevice::pack(std::span<const RowRef> rows_N, int K, DType as, std::span<const float> bias_N,
                       bool gated) {
  const GemmKernel& gemm = kernels_.gemm;
  PackedLinear packed;
  std::vector<RowRef> interleaved;
  packed.bias.assign(bias_N.begin(), bias_N.end());
  if (gated) {
    interleaved = interleave_halves(rows_N);
    packed.bias = interleave_halves(bias_N);
  }
  const RowRef* rows = gated ? interleaved.data() : rows_N.data();
  const int N = static_cast<int>(gated ? interleaved.size() : rows_N.size());
  packed.storage.reserve(gemm.packed_bytes(as, N, K));
  packed.matrix = {packed.storage.data(), as, N, K};
  const PackArgs args{rows, packed.storage.data(), as, N, K};
  pool_.run(gemm.pack_units(args), 1, [&](int64_t begin, int64_t end) { gemm.pack(args, begin, end); });
  const uint64_t bytes = packed.storage.size_bytes();
  linears_.push_back(std::move(packed));
  return {uint32_t(linears_.size()), int32_t(rows_N.size()), K, gated, bytes};
}

Table CpuDevice::table(std::span<const RowRef> rows, int cols) {
  tables_.emplace_back(rows.begin(), rows.end());
  return {uint32_t(tables_.size()), int32_t(rows.size()), cols};
}

uint64_t CpuDevice::page_bytes(const PageShape& shape) const { return PageStore::page_bytes(shape); }

Pages CpuDevice::pages(const PageShape& shape, int count) {
  pages_.push_back(std::make_unique<PageStore>(shape, count));
  return {uint32_t(pages_.size()), count, shape};
}

void CpuDevice::release(const Pages& pages) noexcept {
  if (pages.id > 0) pages_[pages.id - 1].reset();
}

KvPages CpuDevice::layer_of(const Pages& pages, int layer) const {
  return pages_.at(pages.id - 1)->layer(layer);
}

Staged CpuDevice::stage(const StepPlan& plan, const Pages&) {
  StagedPlan& s = staged_;
  ++s.id;
  s.plan = plan;
  s.rows_T.clear();
  s.output_rows.clear();
  for (const KeyRun& seen : s.plan.keys_T)
    s.rows_T.push_back({s.plan.pages.data() + seen.first, seen.num_keys});
  for (int32_t row : s.plan.output_rows) s.output_rows.push_back(s.rows_T[row]);
  return {s.id, plan.num_rows(), plan.num_outputs(), int32_t(plan.head_outputs.size()),
          int32_t(plan.pair_outputs.size())};
}

const CpuDevice::StagedPlan& CpuDevice::staged(const Staged& plan) const {
  if (plan.id != staged_.id) throw Error(ErrorCode::kInternal, "a plan was used after the next was staged");
  return staged_;
}

void CpuDevice::run(const StepKey&, const std::function<void()>& stop, const std::function<void()>& graph) {
  struct Asking {
    const std::function<void()>*& asked;
    ~Asking() { asked = nullptr; }
  } asking{stop_};
  stop_ = stop ? &stop : nullptr;
  graph();
}

TrainingOps* CpuDevice::training() {
  if (!training_) training_ = std::make_unique<CpuTraining>(*this);
  return training_.get();
}

}  // namespace mmprm
