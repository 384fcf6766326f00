// What an engine makes of a case, and of the same work asked for in another way.
#pragma once
#include "golden.h"

namespace mmprm::golden {

struct Outcome {
  std::map<std::string, std::vector<float>> tensors;  // under the names of the golden ones
  std::vector<std::vector<float>> scores;             // per sequence and marker
  std::vector<std::vector<int32_t>> tokens;           // per sample
};

Outcome run_case(Engine& engine, const Case& c);

// Of the bits of an outcome: the same on every machine that gives the same bits.
uint64_t hash_of(const Outcome& outcome, uint64_t before);

// The promise of equal bits, checked where a case can: solutions together and each alone in the other order, sequences
// in one batch, drawn siblings and each by itself, all of it again with what the cache holds. Answers what broke it.
// `drawn` are the siblings' tokens and log-probabilities.
std::vector<std::string> broken_promises(Engine& engine, const Model& model, Outcome& drawn);

// ‖a − b‖ / ‖b‖; infinite for other sizes and for numbers that are none.
double relative_distance(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace mmprm::golden
