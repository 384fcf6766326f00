// What TMA must know of a matrix in global memory: its address, shape and the box that one copy moves.
#pragma once
#include "cuda/runtime.h"
#if !MMPRM_EMULATED
#include <cuda.h>
#endif

namespace mmprm::cuda {

#if MMPRM_EMULATED
using TensorMap = emu::TensorMap;
#else
using TensorMap = CUtensorMap;
#endif

enum class TileElement { kBF16, kF32, kInt8 };
struct TileShape {
  TileElement element;
  // Elements of a row, rows. Loads give zeros outside. WARNING: a store writes 16 bytes at a time, so what shares the last
  // 16 bytes of a row with its last element is overwritten.
  uint64_t inner, outer;
  uint64_t stride_bytes;          // between rows: a multiple of 16
  uint32_t box_inner, box_outer;  // at most 256 each; swizzled boxes are 128 bytes wide
  bool swizzle_128 = true;
};

// cudaErrorInvalidValue where the hardware cannot do it: `base` not aligned to 16 bytes, a stride that is no multiple
// of 16, a box out of range. cudaErrorNotSupported where the driver does not know tensor maps.
inline cudaError_t make_tensor_map(TensorMap* map, const void* base, const TileShape& s) {
#if MMPRM_EMULATED
  const uint32_t bytes = s.element == TileElement::kInt8 ? 1 : s.element == TileElement::kBF16 ? 2 : 4;
  *map = {base, s.inner, s.outer, s.stride_bytes, s.box_inner, s.box_outer, bytes, s.swizzle_128};
  return emu::check_tensor_map(*map);
#else
  static const decltype(&cuTensorMapEncodeTiled) encode = [] {
    void* f = nullptr;
    cudaDriverEntryPointQueryResult found;
    const cudaError_t e =
        cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &f, 12000, cudaEnableDefault, &found);
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(
        e == cudaSuccess && found == cudaDriverEntryPointSuccess ? f : nullptr);
  }();
  if (!encode) return cudaErrorNotSupported;
  const CUtensorMapDataType type = s.element == TileElement::kInt8   ? CU_TENSOR_MAP_DATA_TYPE_UINT8
                                   : s.element == TileElement::kBF16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
                                                                     : CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
  const cuuint64_t dims[2] = {s.inner, s.outer}, strides[1] = {s.stride_bytes};
  const cuuint32_t box[2] = {s.box_inner, s.box_outer}, steps[2] = {1, 1};
  const CUresult r =
      encode(map, type, 2, const_cast<void*>(base), dims, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
             s.swizzle_128 ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_NONE,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return r == CUDA_SUCCESS ? cudaSuccess : cudaErrorInvalidValue;
#endif
}

}  // namespace mmprm::cuda
