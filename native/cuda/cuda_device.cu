// Opening a card, its memory and weights; cuda_ops.cu has the ops, record.cu plans and recorded steps.
#include <dlfcn.h>

#include <algorithm>
#include <cstring>

#include "base/float_types.h"
#include "cuda/cuda_device.h"
#include "kernels/gemm/gated_rows.h"
#include "kernels/gemm/quantize.h"

namespace mmprm::cuda {
namespace {

constexpr size_t kUploadBytes = size_t(16) << 20;

// Elements from one row to the next: whole pieces of 16 bytes, as vectors, cp.async and TMA want them.
int64_t row_stride(int cols, DType dtype) {
  const int per_piece = 16 / int(dtype_bytes(dtype));
  return (int64_t(cols) + per_piece - 1) / per_piece * per_piece;
}

void copy_text(const std::string& text, char* to, size_t size) { to[text.copy(to, size - 1)] = '\0'; }

void write_row(std::byte* to, const RowRef& row, int cols, DType dtype) {
  if (!row.data) {
    std::memset(to, 0, size_t(cols) * dtype_bytes(dtype));
  } else if (row.dtype == dtype) {
    std::memcpy(to, row.data, size_t(cols) * dtype_bytes(dtype));
  } else {
    for (int c = 0; c < cols; ++c) store_from_f32(to, dtype, c, load_as_f32(row.data, row.dtype, c));
  }
}

// WHY asked here: without a driver the runtime says that the driver is too old.
std::string why_no_card(cudaError_t e) {
  const std::string wanted = "NVIDIA driver R580 or later (CUDA 13.0) is needed";
  void* driver = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);  // never unloaded: its threads may live on
  if (!driver) return "no driver: libcuda.so.1 is not on this machine; " + wanted;
  using Version = int (*)(int*);
  const auto version_of = reinterpret_cast<Version>(::dlsym(driver, "cuDriverGetVersion"));
  int version = 0;
  if (e != cudaErrorInsufficientDriver || !version_of || version_of(&version) != 0)
    return cudaGetErrorString(e);
  return "the driver knows CUDA " + std::to_string(version / 1000) + "." +
         std::to_string(version % 1000 / 10) + "; " + wanted;
}

}  // namespace

int CudaDevice::count() {
  int devices = 0;
  const cudaError_t e = cudaGetDeviceCount(&devices);
  if (e == cudaSuccess && devices > 0) return devices;
  cudaGetLastError();
  throw Error(ErrorCode::kNoDevice,
              "no CUDA device can be used: " + (e == cudaSuccess ? "the driver finds none" : why_no_card(e)));
}

DeviceInfo CudaDevice::describe(int ordinal) {
  if (ordinal < 0 || ordinal >= count()) {
    throw Error(ErrorCode::kNoDevice, "there is no CUDA device " + std::to_string(ordinal) + "; there are " +
                                          std::to_string(count()));
  }
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, ordinal), "cudaGetDeviceProperties");
  if (properties.major < 8) {
    throw Error(ErrorCode::kNoDevice, std::string(properties.name) + " has compute capability " +
                                          std::to_string(properties.major) + "." +
                                          std::to_string(properties.minor) + "; 8.0 and later are supported");
  }
  DeviceInfo info;
  copy_text("cuda", info.kind, sizeof info.kind);
  copy_text(properties.name, info.name, sizeof info.name);
  copy_text(result_class(properties.major), info.result_class, sizeof info.result_class);
  info.total_bytes = properties.totalGlobalMem;
  info.row_block = 8192;
  for (DType weights : {DType::kF32, DType::kBF16, DType::kF16, DType::kInt8, DType::kInt4})
    info.activations[int(weights)] = weights == DType::kF32 ? DType::kF32 : DType::kBF16;
  return info;
}

CudaDevice::CudaDevice(int ordinal) : ordinal_(ordinal), info_(describe(ordinal)) {
  check(cudaSetDevice(ordinal), "cudaSetDevice");
  int major = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, ordinal), "cudaDeviceGetAttribute");
  chip_class_ = cuda::chip_class(major);
  check(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, ordinal),
        "cudaDeviceGetAttribute");
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
  upload_ = std::make_unique<PlanUpload>(stream_);
  draws_ = std::make_unique<TokenDraws>(stream_);
}

CudaDevice::~CudaDevice() {
  cudaSetDevice(ordinal_);
  cudaStreamSynchronize(stream_);
  drop_recordings();
  upload_.reset();
  draws_.reset();
  cudaStreamDestroy(stream_);
}

void CudaDevice::enter() const {
  if (fault_) throw *fault_;
  check(cudaSetDevice(ordinal_), "cudaSetDevice");
}

uint64_t CudaDevice::free_bytes() const {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return free;
}

Tensor CudaDevice::allocate(int rows, int cols, DType dtype) {
  const int64_t stride = row_stride(cols, dtype);
  DeviceMemory memory(size_t(rows) * stride * dtype_bytes(dtype));
  check(cudaMemsetAsync(memory.as(), 0, memory.bytes(), stream_), "allocate");
  const Tensor tensor{address_of(memory.as()), dtype, rows, cols, stride};
  tensors_.emplace(tensor.at.value, std::move(memory));
  return tensor;
}

void CudaDevice::release(const Tensor& tensor) noexcept {
  cudaStreamSynchronize(stream_);
  drop_recordings();  // they name its address
  tensors_.erase(tensor.at.value);
}

void CudaDevice::write(const Tensor& to, const void* rows) {
  if (to.rows == 0) return;
  const size_t bytes = size_t(to.cols) * dtype_bytes(to.dtype);
  check(cudaMemcpy2DAsync(data_of(to), to.stride * dtype_bytes(to.dtype), rows, bytes, bytes, to.rows,
                          cudaMemcpyHostToDevice, stream_),
        "write");
  check(cudaStreamSynchronize(stream_), "write");  // the caller's memory is free again
}

void CudaDevice::read(void* rows, const Tensor& from) {
  if (from.rows == 0) return;
  const size_t bytes = size_t(from.cols) * dtype_bytes(from.dtype);
  check(cudaMemcpy2DAsync(rows, bytes, data_of(from), from.stride * dtype_bytes(from.dtype), bytes, from.rows,
                          cudaMemcpyDeviceToHost, stream_),
        "read");
  check(cudaStreamSynchronize(stream_), "read");
}

// Rows go through two halves of pinned memory: one is filled while the other is copied.
void CudaDevice::upload_rows(std::byte* to, int64_t row_bytes, std::span<const RowRef> rows, int cols,
                             DType dtype) {
  const int per_half = int(std::max<int64_t>(1, int64_t(kUploadBytes) / row_bytes));
  pinned_.reserve(size_t(2) * per_half * row_bytes);
  cudaEvent_t copied[2];
  for (cudaEvent_t& event : copied)
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
  int half = 0;
  for (size_t first = 0; first < rows.size(); first += per_half, half ^= 1) {
    const size_t count = std::min(rows.size() - first, size_t(per_half));
    std::byte* from = pinned_.data() + int64_t(half) * per_half * row_bytes;
    check(cudaEventSynchronize(copied[half]), "upload of weights");
    std::memset(from, 0, count * row_bytes);
    for (size_t r = 0; r < count; ++r) write_row(from + r * row_bytes, rows[first + r], cols, dtype);
    check(cudaMemcpyAsync(to + first * row_bytes, from, count * row_bytes, cudaMemcpyHostToDevice, stream_),
          "upload of weights");
    check(cudaEventRecord(copied[half], stream_), "upload of weights");
  }
  check(cudaStreamSynchronize(stream_), "upload of weights");
  for (cudaEvent_t event : copied) cudaEventDestroy(event);
}

DeviceMemory CudaDevice::uploaded(const void* data, size_t bytes) {
  DeviceMemory memory(bytes);
  check(cudaMemcpyAsync(memory.as(), data, bytes, cudaMemcpyHostToDevice, stream_), "upload of weights");
  check(cudaStreamSynchronize(stream_), "upload of weights");
  return memory;
}

void CudaDevice::pack_floats(std::span<const RowRef> rows, PackedLinear& packed) {
  packed.stride = row_stride(packed.K, packed.dtype);
  const int64_t row_bytes = packed.stride * int64_t(dtype_bytes(packed.dtype));
  packed.weights = DeviceMemory(rows.size() * row_bytes);
  upload_rows(packed.weights.as(), row_bytes, rows, packed.K, packed.dtype);
}

void CudaDevice::pack_quantised(std::span<const RowRef> rows, PackedLinear& packed) {
  const QuantWeights w{nullptr, nullptr, nullptr, packed.dtype, packed.N, packed.K};
  const int group = w.group(), padded_N = w.padded_N();
  std::vector<uint8_t> numbers(size_t(w.N) * w.row_bytes());
  std::vector<float> scales(size_t(w.groups()) * padded_N);
  std::vector<uint32_t> zeros(scales.size());
  for (int n = 0; n < w.N; ++n) {
    uint8_t* row = numbers.data() + n * w.row_bytes();
    for (int g = 0; g < w.groups(); ++g) {
      float values[kInt8Group] = {};
      const int first = g * group, count = std::max(0, std::min(group, w.K - first));
      for (int i = 0; i < count && rows[n].data; ++i)
        values[i] = load_as_f32(rows[n].data, rows[n].dtype, first + i);
      const QuantParams p = quant_params(w.dtype, values, count);
      scales[size_t(g) * padded_N + n] = p.scale;
      zeros[size_t(g) * padded_N + n] = uint32_t(p.zero) * 0x01010101u;
      for (int i = 0; i < group; ++i) {
        const int number = i < count ? quantize(w.dtype, values[i], p) : int(p.zero), k = first + i;
        if (w.dtype == DType::kInt8) {
          row[k] = uint8_t(number);
        } else {
          row[k / 32 * 16 + int4_byte(k)] |= uint8_t(number << (int4_upper(k) ? 4 : 0));
        }
      }
    }
  }
  packed.weights = uploaded(numbers.data(), numbers.size());
  packed.scales = uploaded(scales.data(), scales.size() * sizeof(float));
  packed.zeros = uploaded(zeros.data(), zeros.size() * sizeof(uint32_t));
}

Linear CudaDevice::pack(std::span<const RowRef> given, int K, DType as, std::span<const float> bias_N,
                        bool gated) {
  const std::vector<RowRef> interleaved = gated ? interleave_halves(given) : std::vector<RowRef>();
  const std::span<const RowRef> rows = gated ? std::span<const RowRef>(interleaved) : given;
  auto packed = std::make_unique<PackedLinear>();
  packed->dtype = as == DType::kF16 ? DType::kBF16 : as;
  packed->N = int(rows.size());
  packed->K = K;
  if (is_quantized(packed->dtype)) {
    pack_quantised(rows, *packed);
  } else {
    pack_floats(rows, *packed);
  }
  packed->has_bias = !bias_N.empty();
  if (packed->has_bias) {
    std::vector<float> bias =
        gated ? interleave_halves(bias_N) : std::vector<float>(bias_N.begin(), bias_N.end());
    bias.resize((bias.size() + 3) / 4 * 4);
    packed->bias = uploaded(bias.data(), bias.size() * sizeof(float));
  }
  uint64_t bytes = 0;
  for (const DeviceMemory* m : {&packed->weights, &packed->bias, &packed->scales, &packed->zeros})
    bytes += m->bytes();
  linears_.push_back(std::move(packed));
  return {uint32_t(linears_.size()), int32_t(given.size()), K, gated, bytes};
}

// Only outside of a recording, which names the address.
void CudaDevice::reserve_scratch(size_t bytes) {
  if (scratch_.bytes() >= bytes) return;
  if (recording_) throw Error(ErrorCode::kInternal, "a recorded step needs more scratch than it did before");
  check(cudaStreamSynchronize(stream_), "scratch");
  drop_recordings();
  scratch_ = DeviceMemory(bytes);
}

Table CudaDevice::table(std::span<const RowRef> rows, int cols) {
  auto stored = std::make_unique<StoredTable>();
  const DType dtype = rows.empty() || !rows[0].data ? DType::kF32 : rows[0].dtype;
  const int64_t stride = row_stride(cols, dtype), row_bytes = stride * int64_t(dtype_bytes(dtype));
  stored->memory = DeviceMemory(rows.size() * row_bytes);
  upload_rows(stored->memory.as(), row_bytes, rows, cols, dtype);
  stored->table = {stored->memory.as(), dtype, int32_t(rows.size()), cols, stride};
  tables_.push_back(std::move(stored));
  return {uint32_t(tables_.size()), int32_t(rows.size()), cols};
}

uint64_t CudaDevice::page_bytes(const PageShape& shape) const {
  const int padded = padded_head(shape.head_dim_D);
  if (padded == 0) {
    throw Error(ErrorCode::kUnsupportedModel, "attention heads of " + std::to_string(shape.head_dim_D) +
                                                  " elements do not run on CUDA; at most 128 do");
  }
  return uint64_t(2) * shape.layers * shape.heads_G * kPageTokens * padded * dtype_bytes(shape.dtype);
}

Pages CudaDevice::pages(const PageShape& shape, int count) {
  auto pool = std::make_unique<PagePool>();
  pool->memory = DeviceMemory(page_bytes(shape) * count);
  check(cudaMemsetAsync(pool->memory.as(), 0, pool->memory.bytes(), stream_), "pages");
  pool->pages = {pool->memory.as(),
                 shape.dtype,
                 shape.layers,
                 count,
                 shape.heads_G,
                 shape.head_dim_D,
                 padded_head(shape.head_dim_D)};
  pools_.push_back(std::move(pool));
  return {uint32_t(pools_.size()), count, shape};
}

void CudaDevice::release(const Pages& pages) noexcept {
  if (pages.id == 0 || pages.id > pools_.size()) return;
  cudaStreamSynchronize(stream_);
  drop_recordings();
  pools_[pages.id - 1].reset();
}

CudaDevice::PagePool& CudaDevice::pool_of(const Pages& pages) {
  if (pages.id == 0 || pages.id > pools_.size() || !pools_[pages.id - 1])
    throw Error(ErrorCode::kInternal, "pages that this device does not have");
  return *pools_[pages.id - 1];
}

}  // namespace mmprm::cuda
