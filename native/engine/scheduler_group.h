// The scheduler's record of one request. Private to engine/scheduler*.cc.
#pragma once
#include "engine/scheduler.h"

namespace mmprm {

struct Scheduler::Sample {
  std::vector<TokenKey> keys;  // prompt and generated; while decoding, all but the last are computed
  std::vector<int32_t> pages;  // each with a reference of ours
  int angle_offset = 0;        // of generated tokens: from their index in the sequence to where they stand
  int num_computed = 0;
  int num_generated = 0;
  bool done = false;
};

struct Scheduler::Group {
  enum class State : uint8_t { kWaiting, kPrefill, kDecode, kDone };
  using Values = std::vector<std::vector<std::vector<float>>>;

  GroupId id = 0;
  State state = State::kWaiting;
  bool paused = false;
  int num_reused_tokens = 0, num_computed_tokens = 0;
  std::unique_ptr<Prefill> prefill;
  std::vector<int> sample_of_sequence;  // of the prefill, for a generate group

  std::vector<Uses> uses_of_output;  // of the prefill

  std::optional<GenerateGroup> generate;
  std::vector<Sample> samples;

  std::optional<ScoreGroup> score;
  Values values;  // [sequence][wanted]; empty: not known yet

  bool holds_pages() const { return state == State::kPrefill || state == State::kDecode; }
  int num_live_samples() const {
    int live = 0;
    for (const Sample& s : samples) live += !s.done;
    return live;
  }
};

}  // namespace mmprm
