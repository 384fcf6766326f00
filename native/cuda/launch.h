// Launches, without <<<>>>: a C++ compiler cannot read that.
#pragma once
#include <utility>

#include "cuda/runtime.h"

namespace mmprm::cuda {

// Lets a kernel take `bytes` of dynamic shared memory, 48 KiB and more. Once per kernel and device.
template <typename... P>
cudaError_t allow_shared(void (*kernel)(P...), size_t bytes) {
  return cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                              cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes));
}

// Arguments are converted to the kernel's parameters and copied before this returns.
template <typename... P, typename... A>
cudaError_t launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                   A&&... args) {
  static_assert(sizeof...(P) == sizeof...(A), "a kernel takes exactly its parameters");
#if MMPRM_EMULATED
  return emu::enqueue_kernel(kernel, grid, block, shared_bytes, stream, std::forward<A>(args)...);
#else
  return [&](std::remove_const_t<P>... values) {
    void* pointers[] = {const_cast<void*>(static_cast<const void*>(&values))..., nullptr};
    return cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid, block, pointers, shared_bytes,
                            stream);
  }(std::forward<A>(args)...);
#endif
}

}  // namespace mmprm::cuda
