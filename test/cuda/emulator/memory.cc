// Memory of the emulated device and copies: allocations are NaN at first and again when freed, copies must stay inside
// of them, and copies between a stream and pageable memory are as synchronous as CUDA's.
#include <cstdlib>
#include <map>
#include <set>

#include "emulator/block.h"
#include "emulator/runtime.h"

namespace emu {
namespace {

struct Allocation {
  size_t bytes;
  Memory kind;
};
// Never destroyed: what a process leaves open at its end is not lost.
std::map<uintptr_t, Allocation>& allocations = *new std::map<uintptr_t, Allocation>;
size_t device_bytes_used = 0;
// Freed memory stays mapped a while, poisoned: a stale pointer reads NaN, not its old values.
std::deque<void*>& quarantine = *new std::deque<void*>;
constexpr size_t kQuarantined = 256;

void* allocate(size_t bytes, Memory kind) {
  void* p = std::aligned_alloc(1024, (bytes + 1023) / 1024 * 1024);
  if (!p) return nullptr;
  std::memset(p, 0xff, bytes);
  MMPRM_ASAN(__asan_poison_memory_region(static_cast<char*>(p) + (bytes + 7) / 8 * 8,
                                         (bytes + 1023) / 1024 * 1024 - (bytes + 7) / 8 * 8);)
  allocations[reinterpret_cast<uintptr_t>(p)] = {bytes, kind};
  return p;
}

cudaError_t release(void* p, Memory kind) {
  if (!p) return cudaSuccess;
  const auto it = allocations.find(reinterpret_cast<uintptr_t>(p));
  if (it == allocations.end() || it->second.kind != kind) return result(cudaErrorInvalidValue);
  drain_all();  // as CUDA does
  const size_t bytes = it->second.bytes;
  std::memset(p, 0xff, bytes);
  MMPRM_ASAN(__asan_poison_memory_region(p, (bytes + 1023) / 1024 * 1024);)
  if (kind == Memory::kDevice) device_bytes_used -= bytes;
  allocations.erase(it);
  quarantine.push_back(p);
  if (quarantine.size() > kQuarantined) {
    MMPRM_ASAN(__asan_unpoison_memory_region(quarantine.front(), 1);)
    std::free(quarantine.front());
    quarantine.pop_front();
  }
  return cudaSuccess;
}

struct Copy2D {
  void* to;
  size_t to_pitch;
  const void* from;
  size_t from_pitch, width, height;
  size_t to_span() const { return height ? (height - 1) * to_pitch + width : 0; }
  size_t from_span() const { return height ? (height - 1) * from_pitch + width : 0; }
  void run() const {
    for (size_t r = 0; r < height; ++r)
      std::memcpy(static_cast<char*>(to) + r * to_pitch, static_cast<const char*>(from) + r * from_pitch,
                  width);
  }
};

cudaError_t check_copy(const Copy2D& c, cudaMemcpyKind kind, Memory* to, Memory* from) {
  if (c.height > 1 && (c.to_pitch < c.width || c.from_pitch < c.width)) return result(cudaErrorInvalidValue);
  if (!find_memory(c.to, c.to_span(), to) || !find_memory(c.from, c.from_span(), from))
    return result(cudaErrorInvalidValue);
  const bool to_device = *to == Memory::kDevice, from_device = *from == Memory::kDevice;
  const bool right = kind == cudaMemcpyDefault ||
                     (to_device == (kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice) &&
                      from_device == (kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice));
  return right ? cudaSuccess : result(cudaErrorInvalidValue);
}

cudaError_t copy_async_2d(const Copy2D& c, cudaMemcpyKind kind, cudaStream_t stream) {
  Memory to = Memory::kPageable, from = to;
  if (const cudaError_t e = check_copy(c, kind, &to, &from)) return e;
  if (c.width == 0 || c.height == 0) return cudaSuccess;
  const bool pageable = to == Memory::kPageable || from == Memory::kPageable;
  if (!pageable) return enqueue(stream, [c] { c.run(); });
  // WHY an error: CUDA would record the address of memory that the driver stages at capture, once.
  if (is_capturing(stream)) return result(cudaErrorStreamCaptureUnsupported);
  if (to == Memory::kPageable) {  // returns when the bytes are there
    const cudaError_t e = enqueue(stream, [c] { c.run(); });
    return e ? e : drain(stream);
  }
  auto staged = std::make_shared<std::vector<char>>(c.width * c.height);  // read before this returns
  Copy2D in = c, out = c;
  in.to = staged->data();
  in.to_pitch = c.width;
  in.run();
  out.from = staged->data();
  out.from_pitch = c.width;
  return enqueue(stream, [staged, out] { out.run(); });
}

}  // namespace

bool find_memory(const void* p, size_t bytes, Memory* kind) {
  const uintptr_t at = reinterpret_cast<uintptr_t>(p);
  auto it = allocations.upper_bound(at);
  *kind = Memory::kPageable;
  if (it == allocations.begin()) return true;
  --it;
  if (at >= it->first + std::max<size_t>(it->second.bytes, 1)) return true;
  *kind = it->second.kind;
  return at + bytes <= it->first + it->second.bytes;
}

cudaError_t check_tensor_map(const TensorMap& s) {
  const uint64_t row = uint64_t(s.box_inner) * s.element_bytes;
  const bool right = reinterpret_cast<uintptr_t>(s.base) % 16 == 0 && s.stride_bytes % 16 == 0 && s.inner &&
                     s.outer && s.stride_bytes >= s.inner * s.element_bytes && s.box_inner &&
                     s.box_inner <= 256 && s.box_outer && s.box_outer <= 256 && row % 16 == 0 &&
                     (!s.swizzle_128 || row <= 128);
  Memory kind;
  if (!right) return result(cudaErrorInvalidValue);
  if (!find_memory(s.base, (s.outer - 1) * s.stride_bytes + s.inner * s.element_bytes, &kind) ||
      kind == Memory::kPageable)
    return result(cudaErrorInvalidValue);
  // WHY stricter than the hardware: rows shorter than the swizzle's 128 bytes lie elsewhere, and no kernel wants them.
  if (s.swizzle_128 && row != 128) return result(cudaErrorInvalidValue);
  return cudaSuccess;
}

}  // namespace emu

using namespace emu;

cudaError_t cudaMalloc(void** p, size_t bytes) {
  *p = nullptr;
  if (any_capture()) return result(cudaErrorStreamCaptureUnsupported);
  if (bytes == 0) return cudaSuccess;
  if (bytes > options().device_bytes - device_bytes_used) return result(cudaErrorMemoryAllocation);
  if (!(*p = allocate(bytes, Memory::kDevice))) return result(cudaErrorMemoryAllocation);
  device_bytes_used += bytes;
  return cudaSuccess;
}
cudaError_t cudaFree(void* p) {
  if (any_capture()) return result(cudaErrorStreamCaptureUnsupported);
  return release(p, Memory::kDevice);
}
cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned) {
  if (any_capture()) return result(cudaErrorStreamCaptureUnsupported);
  *p = bytes ? allocate(bytes, Memory::kPinned) : nullptr;
  return bytes && !*p ? result(cudaErrorMemoryAllocation) : cudaSuccess;
}
cudaError_t cudaFreeHost(void* p) { return release(p, Memory::kPinned); }
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *total = options().device_bytes;
  *free = *total - device_bytes_used;
  return cudaSuccess;
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  return copy_async_2d({to, to_pitch, from, from_pitch, width, height}, kind, stream);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return copy_async_2d({to, bytes, from, bytes, bytes, 1}, kind, stream);
}
cudaError_t cudaMemcpy2D(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                         size_t height, cudaMemcpyKind kind) {
  const cudaError_t e = cudaMemcpy2DAsync(to, to_pitch, from, from_pitch, width, height, kind, nullptr);
  return e ? e : drain(nullptr);
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return cudaMemcpy2D(to, bytes, from, bytes, bytes, 1, kind);
}
cudaError_t cudaMemsetAsync(void* to, int byte, size_t bytes, cudaStream_t stream) {
  Memory kind;
  if (!find_memory(to, bytes, &kind) || kind != Memory::kDevice) return result(cudaErrorInvalidValue);
  return enqueue(stream, [=] { std::memset(to, byte, bytes); });
}
cudaError_t cudaMemset(void* to, int byte, size_t bytes) { return cudaMemsetAsync(to, byte, bytes, nullptr); }
