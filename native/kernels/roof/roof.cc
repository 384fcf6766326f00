#include "kernels/roof/roof.h"

#include "include/engine/error.h"

namespace mmprm {

namespace avx2 {
extern const RoofLoops roof;
}
namespace avx512 {
extern const RoofLoops roof;
}
namespace avx512bf16 {
extern const RoofLoops roof;
}

const RoofLoops& roof_loops(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx2) return avx2::roof;
  if (isa == Isa::kAvx512) return avx512::roof;
  if (isa == Isa::kAvx512Bf16) return avx512bf16::roof;
#endif
  throw Error(ErrorCode::kInvalidArgument, "there is no roof to measure for this instruction set");
}

}  // namespace mmprm
