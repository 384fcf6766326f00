// A CUDA card as a Device: memory, weights, plans and recorded steps on one stream. export.cu puts it behind the C table.
//
// Calls throw Error. After a fault every later call throws the same: nothing on that card can be trusted any more.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "cuda/plan_upload.h"
#include "cuda/token_draws.h"
#include "device/device.h"
#include "include/engine/error.h"
#include "kernels/gemm/gemm_quant_cuda.h"

namespace mmprm::cuda {

class CudaDevice : public Device {
 public:
  // Throws kNoDevice where there is no such card, or none that these kernels run on.
  explicit CudaDevice(int ordinal);
  ~CudaDevice() override;
  static int count();
  static DeviceInfo describe(int ordinal);

  // Makes this card the calling thread's; throws what ended it.
  void enter() const;
  // Keeps a fault for all later calls.
  void failed(const Error& error) { fault_ = std::make_unique<Error>(error); }

  const DeviceInfo& info() const override { return info_; }
  uint64_t free_bytes() const override;
  Tensor allocate(int rows, int cols, DType dtype) override;
  void release(const Tensor& tensor) noexcept override;
  void write(const Tensor& to, const void* rows) override;
  void read(void* rows, const Tensor& from) override;
  Linear pack(std::span<const RowRef> given, int K, DType as, std::span<const float> bias_N,
              bool gated) override;
  Table table(std::span<const RowRef> rows, int cols) override;
  uint64_t page_bytes(const PageShape& shape) const override;
  Pages pages(const PageShape& shape, int count) override;
  void release(const Pages& pages) noexcept override;

  Staged stage(const StepPlan& plan, const Pages& pages) override;
  void run(const StepKey& key, const std::function<void()>& stop,
           const std::function<void()>& graph) override;

#define MMPRM_DEVICE_OP(name, Op) void name(const Op& op) override;
#include "device/device_ops.def"
#undef MMPRM_DEVICE_OP
  void sample(const SampleOp& op) override;

 private:
  struct PackedLinear {
    DeviceMemory weights, bias, scales, zeros;
    DType dtype;  // F32, BF16, int8 or int4
    int N, K;     // as packed
    int64_t stride;
    bool has_bias;

    QuantWeights quant() const {
      return {weights.as<uint8_t>(), scales.as<float>(), zeros.as<uint32_t>(), dtype, N, K};
    }
  };
  struct StoredTable {
    DeviceMemory memory;
    DeviceTable table;
  };
  struct PagePool {
    DeviceMemory memory;
    DevicePages pages;
    int heads_H = 0, window = 0;  // query heads and window, once attention has named them
  };
  struct Recording {
    int seen = 0;
    cudaGraphExec_t exec = nullptr;
  };

  void pack_floats(std::span<const RowRef> rows, PackedLinear& packed);
  void pack_quantised(std::span<const RowRef> rows, PackedLinear& packed);
  DeviceMemory uploaded(const void* data, size_t bytes);
  void reserve_scratch(size_t bytes);
  void upload_rows(std::byte* to, int64_t row_bytes, std::span<const RowRef> rows, int cols, DType dtype);
  const DevicePlan& staged(const Staged& plan) const;
  PagePool& pool_of(const Pages& pages);
  AttentionNeeds needs_of(const PagePool& pool) const;
  enum class RunMode : uint8_t { kCallGraph, kReplayed };
  RunMode begin_run(const StepKey& key);
  void end_run(bool failed);
  void drop_recordings();

  int ordinal_ = 0, multiprocessors_ = 0;
  ChipClass chip_class_ = ChipClass::kSm80;
  DeviceInfo info_;
  std::unique_ptr<Error> fault_;
  cudaStream_t stream_ = nullptr;
  PinnedMemory pinned_;
  DeviceMemory scratch_;  // of one op at a time
  std::unordered_map<uint64_t, DeviceMemory> tensors_;
  std::vector<std::unique_ptr<PackedLinear>> linears_;
  std::vector<std::unique_ptr<StoredTable>> tables_;
  std::vector<std::unique_ptr<PagePool>> pools_;
  std::unique_ptr<PlanUpload> upload_;
  std::unique_ptr<TokenDraws> draws_;
  uint32_t staged_id_ = 0;
  std::map<std::vector<uint64_t>, Recording> recordings_;
  Recording* recording_ = nullptr;  // being made
  int recorded_generation_ = 0;
};

}  // namespace mmprm::cuda
