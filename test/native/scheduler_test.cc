// The scheduler with a fake model: whatever is shared, evicted, preempted, paused or removed, every sample
// takes the tokens and every score has the value that its own sequence alone determines.
#include "engine/scheduler.h"

#include <algorithm>
#include <random>

#include "fake_model.h"

namespace mmprm {
namespace {

constexpr int kStopToken = 6;

int32_t next_token(uint64_t hash, int sample) { return int32_t(mix(hash, 1000 + sample) % 23); }

bool stops(const GenerateGroup& group, int32_t token) {
  return std::find(group.stop_ids.begin(), group.stop_ids.end(), token) != group.stop_ids.end();
}

// What a sample writes, computed without any cache.
std::vector<TokenKey> expected_sample(const GenerateGroup& group, int sample) {
  std::vector<TokenKey> keys = group.prompt;
  for (int i = 0; i < group.max_tokens; ++i) {
    const int32_t token = next_token(hash_of(keys, keys.size()), sample);
    keys.push_back(text_key(token));
    if (stops(group, token)) break;
  }
  return keys;
}

struct Request {
  GroupId id;
  std::optional<GenerateGroup> generate;
  std::optional<ScoreGroup> score;
  std::vector<std::vector<TokenKey>> written;  // per sample, with the prompt
  bool paused = false;
};

class Harness {
 public:
  Harness(int num_pages, SchedulerOptions options)
      : pool_(num_pages), cache_(pool_), model_(num_pages), scheduler_(pool_, cache_, options) {}
  Scheduler& scheduler() { return scheduler_; }
  PagePool& pool() { return pool_; }
  PrefixCache& cache() { return cache_; }
  std::vector<Request>& requests() { return requests_; }

  void add(GenerateGroup group) {
    Request r{scheduler_.add(group), group, {}, {}};
    r.written.assign(group.num_samples, group.prompt);
    requests_.push_back(std::move(r));
  }
  void add(ScoreGroup group) { requests_.push_back({scheduler_.add(group), {}, group, {}}); }

  // False when there was nothing to compute.
  bool step() {
    const Step step = scheduler_.plan();
    const std::vector<uint64_t> hashes = model_.run(step);
    scheduler_.commit(step);
    for (size_t i = 0; i < hashes.size(); ++i) {
      const StepOutput& output = step.outputs[i];
      if (output.score >= 0) scheduler_.set_score(output.group, output.score, {float(hashes[i] % 4093)});
      for (int sample : output.samples) {
        Request& r = *std::find_if(requests_.begin(), requests_.end(),
                                   [&](const Request& q) { return q.id == output.group; });
        const int32_t token = next_token(hashes[i], sample);
        r.written[sample].push_back(text_key(token));
        const FinishReason reason = scheduler_.append(output.group, sample, token);
        CHECK_EQ(reason == FinishReason::kStop, stops(*r.generate, token));
      }
    }
    collect_finished();
    return !step.empty();
  }

  void run_all() {
    while (!requests_.empty()) CHECK(step() || requests_.empty());
  }

  void check_all_free() {
    CHECK_EQ(pool_.num_pages() - pool_.num_free(), cache_.num_cached_pages());
    CHECK(cache_.make_room(pool_.num_pages()));
  }

 private:
  void collect_finished() {
    std::erase_if(requests_, [&](Request& r) {
      if (!scheduler_.finished(r.id)) return false;
      if (r.generate) {
        for (int s = 0; s < r.generate->num_samples; ++s)
          CHECK(r.written[s] == expected_sample(*r.generate, s));
      } else {
        const auto scores = scheduler_.take_scores(r.id);
        for (size_t i = 0; i < r.score->sequences.size(); ++i) {
          for (size_t j = 0; j < r.score->wanted[i].size(); ++j) {
            const uint64_t hash = hash_of(r.score->sequences[i], r.score->wanted[i][j] + 1);
            CHECK_EQ(scores[i][j].at(0), float(hash % 4093));
          }
        }
      }
      scheduler_.remove(r.id);
      return true;
    });
  }

  PagePool pool_;
  PrefixCache cache_;
  FakeModel model_;
  Scheduler scheduler_;
  std::vector<Request> requests_;
};

std::vector<TokenKey> random_prompt(std::mt19937& random, std::vector<std::vector<TokenKey>>& earlier,
                                    int most) {
  std::vector<TokenKey> keys;
  if (!earlier.empty() && random() % 4 != 0) {
    const std::vector<TokenKey>& from = earlier[random() % earlier.size()];
    keys.assign(from.begin(), from.begin() + random() % (from.size() + 1));
  }
  const int more = 1 + random() % most;
  for (int i = 0; i < more; ++i)
    keys.push_back(random() % 8 == 0 ? image_key(random() % 2, i) : text_key(random() % 3));
  if (keys.size() > 120) keys.resize(120);
  earlier.push_back(keys);
  return keys;
}

GenerateGroup random_generate(std::mt19937& random, std::vector<std::vector<TokenKey>>& earlier,
                              int num_pages) {
  GenerateGroup group;
  group.prompt = random_prompt(random, earlier, 60);
  group.max_tokens = 1 + random() % 50;
  const int most = Scheduler::max_samples(num_pages, int(group.prompt.size()), group.max_tokens);
  group.num_samples = std::min<int>(1 + random() % 6, std::max(most, 1));
  group.stop_ids = {kStopToken, 100};
  return group;
}

ScoreGroup random_score(std::mt19937& random, std::vector<std::vector<TokenKey>>& earlier) {
  ScoreGroup group;
  const int count = 1 + random() % 4;
  for (int i = 0; i < count; ++i) {
    group.sequences.push_back(random_prompt(random, earlier, 40));
    group.wanted.emplace_back();
    for (size_t p = random() % 9; p < group.sequences.back().size(); p += 1 + random() % 20) {
      group.wanted.back().push_back(int32_t(p));
    }
  }
  return group;
}

TEST(scheduler_runs_one_request) {
  Harness h(64, {});
  h.add(GenerateGroup{std::vector<TokenKey>(37, 1), 4, 30, {kStopToken}});
  h.run_all();
  CHECK_EQ(h.scheduler().counts().prefill_rows, 37);
  h.check_all_free();
}

TEST(scheduler_reuses_what_earlier_requests_computed) {
  Harness h(256, {});
  std::vector<TokenKey> prompt(100, 1);
  h.add(GenerateGroup{prompt, 2, 5, {}});
  h.run_all();
  prompt.insert(prompt.end(), 10, 2);
  h.add(GenerateGroup{prompt, 2, 5, {}});
  h.run_all();
  CHECK_EQ(h.scheduler().counts().prefill_rows, 110);
  CHECK_EQ(h.scheduler().counts().reused_tokens, 100);
}

TEST(scheduler_computes_a_beginning_once_for_requests_that_come_together) {
  Harness h(256, {.prefill_rows = 32, .prefill_rows_beside_decode = 16});
  std::vector<TokenKey> prompt(96, 1);
  for (int i = 0; i < 5; ++i) {
    std::vector<TokenKey> own = prompt;
    own.push_back(text_key(2 + i));
    h.add(GenerateGroup{own, 1, 3, {}});
  }
  h.run_all();
  CHECK_EQ(h.scheduler().counts().prefill_rows, 96 + 5);
}

TEST(scheduler_pays_only_for_new_steps_when_scoring_again) {
  Harness h(256, {});
  std::vector<TokenKey> keys;
  for (int i = 0; i < 90; ++i) keys.push_back(text_key(i % 7));
  h.add(ScoreGroup{{keys}, {{20, 50, 89}}, {}});
  h.run_all();
  CHECK_EQ(h.scheduler().counts().prefill_rows, 90);
  h.add(ScoreGroup{{keys}, {{20, 50, 89}}, {}});  // known already: nothing is computed
  h.run_all();
  CHECK_EQ(h.scheduler().counts().prefill_rows, 90);
  for (int i = 0; i < 12; ++i) keys.push_back(text_key(9));
  h.add(ScoreGroup{{keys}, {{20, 50, 89, 101}}, {}});
  h.run_all();
  CHECK_EQ(h.scheduler().counts().prefill_rows, 102);
}

TEST(scheduler_never_exceeds_its_pages_and_loses_nothing) {
  int64_t preemptions = 0;
  for (int seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    const int num_pages = 14 + random() % 40;
    SchedulerOptions options;
    options.prefill_rows = 1 + random() % 64;
    options.prefill_rows_beside_decode = 1 + random() % 32;
    options.max_running_samples = 1 + random() % 16;
    Harness h(num_pages, options);
    std::vector<std::vector<TokenKey>> earlier;
    for (int round = 0; round < 60; ++round) {
      if (h.requests().size() < 10) {
        if (random() % 2) {
          GenerateGroup group = random_generate(random, earlier, num_pages);
          if (Scheduler::max_samples(num_pages, int(group.prompt.size()), group.max_tokens) > 0) h.add(group);
        } else {
          ScoreGroup group = random_score(random, earlier);
          if (h.scheduler().fits(group)) h.add(group);
        }
      }
      for (Request& r : h.requests()) {
        if (random() % 20 == 0) h.scheduler().set_paused(r.id, r.paused = !r.paused);
      }
      if (random() % 12 == 0 && !h.requests().empty()) {
        const size_t which = random() % h.requests().size();
        h.scheduler().remove(h.requests()[which].id);
        h.requests().erase(h.requests().begin() + which);
      }
      h.step();
    }
    for (Request& r : h.requests()) h.scheduler().set_paused(r.id, false);
    h.run_all();
    h.check_all_free();
    preemptions += h.scheduler().counts().preemptions;
  }
  CHECK(preemptions > 200);
}

TEST(scheduler_group_that_just_fits_ends) {
  for (int prompt = 1; prompt < 50; prompt += 3) {
    for (int max_tokens : {1, 2, 15, 16, 17, 40}) {
      const int num_pages = 40;
      const int samples = Scheduler::max_samples(num_pages, prompt, max_tokens);
      CHECK(samples > 0);
      Harness h(num_pages, {.prefill_rows = 7, .prefill_rows_beside_decode = 3});
      h.add(GenerateGroup{std::vector<TokenKey>(9, 4), 2, 12, {}});  // so that there is something to evict
      h.add(GenerateGroup{std::vector<TokenKey>(prompt, 1), samples, max_tokens, {}});
      h.run_all();
      h.check_all_free();
    }
  }
}

TEST(scheduler_stops_samples_and_paused_groups_give_way) {
  Harness h(40, {});
  h.add(GenerateGroup{std::vector<TokenKey>(20, 1), 4, 60, {}});
  for (int i = 0; i < 20; ++i) h.step();
  const GroupId first = h.requests()[0].id;
  h.scheduler().set_paused(first, true);
  CHECK(!h.scheduler().has_work());
  h.add(GenerateGroup{std::vector<TokenKey>(20, 2), 4, 60, {}});
  while (h.requests().size() > 1) CHECK(h.step());
  h.scheduler().set_paused(first, false);
  h.scheduler().stop_sample(first, 2);
  h.requests()[0].written[2] = expected_sample(*h.requests()[0].generate, 2);
  h.run_all();
  h.check_all_free();
}

}  // namespace
}  // namespace mmprm
