// Words shared by every native folder and by the addon.
//
// Shape letters, used as suffixes wherever a tensor has a name:
//   T tokens (rows) in a step, flattened   C model width            F feed-forward width
//   H query heads   G key/value heads      D head size              V vocabulary rows
//   P key/value pages   S slots of a page  L layers                 M N K inside gemm only
#pragma once
#include <cstddef>
#include <cstdint>

namespace mmprm {

// kInt8 and kInt4 are weights in a pack only (kernels/gemm/quantize.h), never rows of activations.
// kF64 is for sums that training reads back.
enum class DType : uint8_t { kF32, kBF16, kF16, kInt8, kInt4, kF64 };

constexpr bool is_quantized(DType dtype) { return dtype == DType::kInt8 || dtype == DType::kInt4; }
// Bytes that hold one element; of kInt4 they hold two.
constexpr size_t dtype_bytes(DType dtype) {
  return dtype == DType::kF64 ? 8 : dtype == DType::kF32 ? 4 : is_quantized(dtype) ? 1 : 2;
}

// Instruction sets with a kernel table of their own, in rising order.
enum class Isa : uint8_t { kReference, kAvx2, kAvx512, kAvx512Bf16 };

}  // namespace mmprm
