#include "models/position_table.h"

#include <cmath>

#include "harness.h"

namespace mmprm {
namespace {

constexpr int kC = 2;

std::vector<float> table_of(int side) {
  std::vector<float> table{100, -100};  // the class row
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x) {
      for (int c = 0; c < kC; ++c) table.push_back(float((7 * y + 3 * x + 5 * c) % 11) / 4 - 1);
    }
  }
  return table;
}

std::vector<float> resized(const std::vector<float>& table, int from, int to) {
  const PositionResize resize(from, to);
  std::vector<float> out(resize.num_rows() * kC);
  resize.apply(table.data(), kC, out.data());
  return out;
}

void check_close(const std::vector<float>& actual, const std::vector<float>& expected) {
  CHECK_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) CHECK(std::abs(actual[i] - expected[i]) < 2e-6f);
}

}  // namespace

// Made with OpenCV's resize (INTER_CUBIC), which has the same kernel, centres and edges, in fp32.
TEST(positions_are_resized_as_torch_does) {
  check_close(resized(table_of(3), 3, 2), {100, -100, -0.3995018f, 0.2021484f, 0.2314224f, -0.2266273f,
                                           0.2069435f, 0.2266273f, 0.8378677f, -0.2021484f});
  check_close(resized(table_of(3), 3, 4),
              {100,         -100,        -1.179443f,  0.2679443f,   -0.7499571f, 1.042926f,   0.04817975f,
               0.3623427f,  0.6397783f,  -1.283333f,  0.175415f,    -0.6574278f, 0.8530325f,  0.1175537f,
               0.589168f,   0.4989719f,  -0.4260206f, 0.2119521f,   0.5280762f,  -0.2119521f, 1.205693f,
               -0.4989719f, 0.9418291f,  -0.1175537f, -0.07335943f, 0.6574278f,  -0.3756104f, 1.283333f,
               0.05387586f, -0.3623427f, 0.8520128f,  -1.042926f,   1.443611f,   -0.2679443f});
}

TEST(positions_of_the_same_size_keep_their_bits) {
  std::vector<float> table = table_of(4);
  table[5] = -0.0f;
  table[9] = INFINITY;
  const std::vector<float> same = resized(table, 4, 4);
  CHECK(same == table);
  CHECK(std::signbit(same[5]));
}

TEST(a_single_position_is_every_position) {
  const std::vector<float> out = resized({1, 2, 0.5f, -3}, 1, 3);
  for (size_t i = kC; i < out.size(); i += kC) {
    CHECK(std::abs(out[i] - 0.5f) < 1e-6f);
    CHECK(std::abs(out[i + 1] + 3) < 1e-6f);
  }
}

// A device mixes rows by this list; its gradient is tested with the op.
TEST(mixed_rows_are_resized_positions) {
  for (const auto& [from, to] : {std::pair{4, 6}, {5, 2}, {1, 4}}) {
    const PositionResize resize(from, to);
    const PositionResize::Mix mix = resize.mix();
    const std::vector<float> table = table_of(from);
    std::vector<float> mixed(table.begin(), table.begin() + kC);
    for (size_t row = 0; row + 1 < resize.num_rows(); ++row) {
      for (int c = 0; c < kC; ++c) {
        float sum = 0;
        for (size_t tap = row * PositionResize::kTaps; tap < (row + 1) * PositionResize::kTaps; ++tap)
          sum += mix.weights[tap] * table[size_t(mix.rows[tap]) * kC + c];
        mixed.push_back(sum);
      }
    }
    CHECK(mixed == resized(table, from, to));
  }
}

}  // namespace mmprm
