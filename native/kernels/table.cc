// The tables themselves: every op's constant of one instruction set, gathered by kernels/ops.def.
#include "kernels/table.h"

#include <algorithm>
#include <string>

#include "base/cpu_features.h"
#include "include/engine/error.h"

namespace mmprm {

#define MMPRM_OP(name, Type) \
  namespace reference {      \
  extern const Type name;    \
  }                          \
  namespace avx2 {           \
  extern const Type name;    \
  }                          \
  namespace avx512 {         \
  extern const Type name;    \
  }                          \
  namespace avx512bf16 {     \
  extern const Type name;    \
  }
#include "kernels/ops.def"
#undef MMPRM_OP

namespace {

#define MMPRM_OP(name, Type) .name = reference::name,
const KernelTable reference_table() {
  return {
      .isa = Isa::kReference,
#include "kernels/ops.def"
  };
}
#undef MMPRM_OP

#if defined(__x86_64__)
#define MMPRM_OP(name, Type) .name = avx2::name,
const KernelTable avx2_table() {
  return {
      .isa = Isa::kAvx2,
#include "kernels/ops.def"
  };
}
#undef MMPRM_OP

#define MMPRM_OP(name, Type) .name = avx512::name,
const KernelTable avx512_table() {
  return {
      .isa = Isa::kAvx512,
#include "kernels/ops.def"
  };
}
#undef MMPRM_OP

#define MMPRM_OP(name, Type) .name = avx512bf16::name,
const KernelTable avx512bf16_table() {
  return {
      .isa = Isa::kAvx512Bf16,
#include "kernels/ops.def"
  };
}
#undef MMPRM_OP
#endif

}  // namespace

const KernelTable& kernel_table(Isa isa) {
  const std::vector<Isa> isas = supported_isas();
  if (std::find(isas.begin(), isas.end(), isa) == isas.end()) {
    throw Error(ErrorCode::kInvalidArgument,
                "this processor does not run the kernels for " + std::string(isa_name(isa)));
  }
  // WHY inside a function: the constants live in other translation units and must be initialised first.
  static const KernelTable tables[] = {
    reference_table(),
#if defined(__x86_64__)
    avx2_table(),
    avx512_table(),
    avx512bf16_table(),
#endif
  };
  return tables[static_cast<int>(isa)];
}

}  // namespace mmprm
