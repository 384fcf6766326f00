// Rows of gated weights in the order that products read them: kGatedGroup gate rows, then as many up rows, so that
// one thread holds both halves of what Epilogue::kSwiglu joins.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

namespace mmprm {

constexpr int kGatedGroup = 8;

// From all gate rows, then all up rows; a last, shorter group is filled up with zeros.
template <typename T>
std::vector<T> interleave_halves(std::span<const T> halves) {
  std::vector<T> rows;
  const size_t half = halves.size() / 2;
  for (size_t first = 0; first < half; first += kGatedGroup) {
    for (size_t part = 0; part < 2; ++part) {
      for (size_t i = first; i < first + kGatedGroup; ++i)
        rows.push_back(i < half ? halves[part * half + i] : T{});
    }
  }
  return rows;
}

}  // namespace mmprm
