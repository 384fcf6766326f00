// Views of tensors: parts and columns address what they say, whatever the stride and dtype.
#include "device/address.h"
#include "device/c_api.h"
#include "harness.h"

namespace mmprm {
namespace {

TEST(tensor_views_address_their_rows_and_columns) {
  std::vector<float> memory(5 * 12);
  for (size_t i = 0; i < memory.size(); ++i) memory[i] = float(i);
  const Tensor all{address_of(memory.data()), DType::kF32, 5, 10, 12};
  const Tensor part = all.part(2, 3).columns(4, 5);
  CHECK_EQ(part.rows, 3);
  CHECK_EQ(part.cols, 5);
  for (int r = 0; r < part.rows; ++r) {
    for (int c = 0; c < part.cols; ++c) CHECK_EQ(row_of<float>(part, r)[c], float((2 + r) * 12 + 4 + c));
  }
  // A stride that does not fit 32 bits times rows.
  const Tensor large{Address{1 << 20}, DType::kBF16, 1 << 30, 64, 64};
  CHECK_EQ(large.part(1 << 29, 1).at.value, (uint64_t{1} << 20) + (uint64_t{1} << 29) * 64 * 2);
  CHECK(!all.empty());
  CHECK(Tensor{}.empty());
}

TEST(step_key_tells_plans_of_other_sizes_apart) {
  const Staged plan{7, 16, 4, 3, 1}, same{8, 16, 4, 3, 1};
  CHECK(StepKey(1, plan) == StepKey(1, same));
  CHECK(!(StepKey(1, plan) == StepKey(2, plan)));
  for (int field = 0; field < 4; ++field) {
    Staged other = plan;
    ++(field == 0 ? other.rows : field == 1 ? other.outputs : field == 2 ? other.heads : other.pairs);
    CHECK(!(StepKey(1, plan) == StepKey(1, other)));
  }
}

}  // namespace
}  // namespace mmprm
