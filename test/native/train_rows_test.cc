// Ops of training that only move and add rows: forward and backward against the scalar rule.
#include "train_fixture.h"

namespace mmprm {

// Rows come from the table and from pictures; each gradient is the sum over those that name its row.
TEST(gradient_of_looked_up_rows) {
  Fixture f;
  const int C = 70;
  Matrix table(4, C, 1), image(2, C, 2), x(kRows, C, 3), dx = incoming(kRows, C);
  Matrix d_table(4, C, 4), d_image(2, C, 5), frozen = d_table;
  const Matrix table_before = d_table, image_before = d_image;
  TreePlan plan;
  plan.tokens_T = {3, -2, 1, 3, -1};
  TreesOnDevice staged(f.device_ops);
  staged.stage(plan);
  f.device_ops.look_up({x.view(), table.view(), image.view(), staged});
  f.device_ops.look_up_grad({d_table.view(), d_image.view(), dx.view(), staged});
  f.device_ops.look_up_grad({{}, {}, dx.view(), staged});  // all frozen: nothing moves
  Matrix table_expected = table_before, image_expected = image_before;
  for (int t = 0; t < kRows; ++t) {
    const int token = plan.tokens_T[t];
    for (int c = 0; c < C; ++c) {
      CHECK_EQ(x.at(t, c), token < 0 ? image.at(-1 - token, c) : table.at(token, c));
      (token < 0 ? image_expected.at(-1 - token, c) : table_expected.at(token, c)) += dx.at(t, c);
    }
  }
  CHECK(d_table.values == table_expected.values);
  CHECK(d_image.values == image_expected.values);
}

// <fold x, y> = <x, unfold y>, in both orders of the output rows, and skipped rows stay.
TEST(gradient_of_folded_rows) {
  Fixture f;
  const int C = 3, side = 4, factor = 2, tiles = 2, rows = tiles * (1 + side * side);
  for (bool transposed : {false, true}) {
    Matrix x(rows, C, 1), y(tiles * 4, C * 4, 2), dy = incoming(tiles * 4, C * 4), dx(rows, C, 3);
    Matrix before = dx;
    f.device.fold({y.view(), x.view(), side, factor, 1, transposed});
    f.device_ops.unfold({dx.view(), dy.view(), side, factor, 1, transposed});
    double left = 0, right = 0;
    const std::vector<double> a = y.flat(), b = dy.flat();
    for (size_t i = 0; i < a.size(); ++i) left += a[i] * b[i];
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < C; ++c) {
        if (r % (1 + side * side) == 0) {
          CHECK_EQ(dx.at(r, c), before.at(r, c));
        } else {
          right += double(x.at(r, c)) * dx.at(r, c);
        }
      }
    }
    CHECK(std::abs(left - right) < 1e-9 * (1 + std::abs(left)));
  }
}

TEST(ops_of_training_refuse_what_does_not_fit) {
  Fixture f;
  Matrix x(kRows, 4, 1), y(kRows, 3, 2), w(3, 5, 3);
  const auto refuses = [](const std::function<void()>& op) {
    try {
      op();
    } catch (const Error& e) {
      return e.code() == ErrorCode::kInternal;
    }
    return false;
  };
  CHECK(refuses([&] { f.device_ops.matmul({y.view(), {x.view(), false}, {w.view(), true}}); }));
  CHECK(refuses([&] { f.device_ops.gelu({y.view(), x.view()}); }));
  StagedTrees trees;
  {
    TreesOnDevice staged(f.device_ops);
    staged.stage({});
    trees = staged;
  }
  CHECK(refuses([&] { f.device_ops.look_up({x.view(), w.view(), {}, trees}); }));
  const std::vector<TokenLossOp::Term> unsorted{{1, 0, 1}, {0, 0, 1}};
  Matrix values(2, 3, 4);
  CHECK(refuses([&] { f.device_ops.token_loss({values.view(), x.view(), unsorted.data(), 2, 1}); }));
  const Tensor gaps = x.view();
  CHECK(refuses([&] {
    f.device_ops.sum_of_squares({{address_of(&unsorted), DType::kF64, 1, 1, 1}, &gaps, 1});
  }));
}

}  // namespace mmprm
