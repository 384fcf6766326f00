// Two threads beside busy neighbours: a loop is as slow as its slowest thread, and a neighbour takes threads
// off the processor in the middle of thousands of loops.
#pragma once
#include <vector>

namespace mmprm {

// What a step consists of: loops of a dozen units, each so many rounds of arithmetic, and serial work between.
struct StepShape {
  const char* name;
  int loops, unit_rounds, serial_rounds;
};
// A thousand loops of some 40 microseconds as in generation, forty of a millisecond as in prefill.
inline constexpr StepShape kStepShapes[] = {{"short loops", 1000, 1000, 600}, {"long loops", 40, 25000, 600}};

// Medians on the clock; `ratio` is the median over pairs of neighbouring steps.
struct NeighboursResult {
  const char* shape;
  int neighbours;  // busy processes beside the measured one
  double one_ms, shared_ms, shared_p95_ms, ratio;
  int steps;
};

// Steps with one thread and with `threads` in turns, for about `seconds`, beside that many busy processes.
NeighboursResult measure_neighbours(const StepShape& shape, int neighbours, int threads, double seconds);

}  // namespace mmprm
