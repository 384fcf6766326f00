// Draws on CUDA, cases: tokens and log-probabilities against sorting everything, logits as they were, equal results however
// a row is worked on.
#include <algorithm>
#include <limits>

#include "kernels/cuda_plan_case.h"
#include "kernels/sample/sample_cuda.h"
#include "kernels/sample/weight.h"

namespace mmprm::cuda {
namespace {

struct Lists {
  std::vector<SampleShape> shapes;
  std::vector<uint64_t> uniform_parts;
  std::vector<int32_t> repeated;
  std::vector<TokenCount> generated;

  void add(SampleShape shape, int draws, CaseNumbers& numbers) {
    shape.logits_row = int32_t(shapes.size());
    shape.first_draw = int32_t(uniform_parts.size()), shape.num_draws = draws;
    shape.first_repeated = int32_t(repeated.size()) - shape.num_repeated;
    shape.first_generated = int32_t(generated.size()) - shape.num_generated;
    shapes.push_back(shape);
    for (int d = 0; d < draws; ++d)
      uniform_parts.push_back((uint64_t{numbers.bits()} << 21) | (numbers.bits() >> 11));
  }
};

struct Choice {
  int32_t token;
  float logit;
  uint64_t mass = 0;
  float weight = 0;
};

void drop_below(std::vector<Choice>& left, float min_p) {
  std::erase_if(left, [&](const Choice& c) { return c.weight < min_p; });
}

// Sorts the whole row.
std::vector<Choice> plain_choices(std::vector<float> row, const SampleShape& s, const Lists& lists) {
  for (int j = 0; j < s.num_repeated; ++j) {
    float& l = row[lists.repeated[s.first_repeated + j]];
    l = l < 0 ? l * s.repetition_penalty : l / s.repetition_penalty;
  }
  for (int j = 0; j < s.num_generated; ++j) {
    const TokenCount seen = lists.generated[s.first_generated + j];
    const float often = s.frequency_penalty * float(seen.times);
    row[seen.token] = row[seen.token] - often - s.presence_penalty;
  }
  std::vector<Choice> left;
  for (size_t i = 0; i < row.size(); ++i) {
    const float scaled = s.greedy || s.temperature == 1 ? row[i] : row[i] / s.temperature;
    if (scaled > -std::numeric_limits<float>::infinity()) left.push_back({int32_t(i), scaled});
  }
  std::vector<float> sorted;
  for (const Choice& c : left) sorted.push_back(c.logit);
  std::sort(sorted.rbegin(), sorted.rend());
  if (sorted.empty() || !std::isfinite(sorted[0])) return {};
  const int k = s.greedy ? 1 : s.top_k;
  if (k > 0 && size_t(k) < sorted.size())
    std::erase_if(left, [&](const Choice& c) { return c.logit < sorted[k - 1]; });
  if (s.greedy) left.resize(1);
  for (Choice& c : left) c.weight = exp_nonpositive(c.logit - sorted[0]), c.mass = to_fixed(c.weight);
  if (s.min_p_first) drop_below(left, s.min_p);
  std::sort(left.begin(), left.end(), [](const Choice& a, const Choice& b) {
    return a.weight != b.weight ? a.weight < b.weight : a.token > b.token;
  });
  uint64_t total = 0, dropped = 0;
  for (const Choice& c : left) total += c.mass;
  size_t first = 0;
  while (s.dropped_parts > 0 && first + 1 < left.size() &&
         (dropped += left[first].mass) <= share_of_parts(total, s.dropped_parts))
    ++first;
  left.erase(left.begin(), left.begin() + first);
  drop_below(left, s.min_p);
  std::sort(left.begin(), left.end(), [](const Choice& a, const Choice& b) { return a.token < b.token; });
  return left;
}

int32_t plain_draw(const std::vector<Choice>& left, uint64_t uniform_parts) {
  uint64_t total = 0, sum = 0;
  for (const Choice& c : left) total += c.mass;
  for (const Choice& c : left) {
    if ((sum += c.mass) > share_of_parts(total, uniform_parts)) return c.token;
  }
  return -1;
}

double plain_logprob(const std::vector<float>& row, int32_t token) {
  double largest = row[0], sum = 0;
  for (float l : row) largest = std::max(largest, double(l));
  for (float l : row) sum += std::exp(l - largest);
  return row[token] - largest - std::log(sum);
}

std::vector<SampleResult> run_on(DeviceRows& logits, const Lists& lists, const SampleConfig& config) {
  Uploads uploads;
  const std::vector<float> saved(lists.repeated.size() + lists.generated.size() + 1);
  SampleLists in;
  in.shapes = uploads.add(lists.shapes);
  in.uniform_parts = uploads.add(lists.uniform_parts);
  in.repeated = uploads.add(lists.repeated);
  in.generated = uploads.add(lists.generated);
  in.saved_repeated = const_cast<float*>(uploads.add(saved));
  in.saved_generated = in.saved_repeated + lists.repeated.size();
  DeviceBlock results(lists.uniform_parts.size() * sizeof(SampleResult));
  in.results = results.device_as<SampleResult>();
  require_ok(sample(tensor_of(logits), in, 0, int(lists.shapes.size()), config, nullptr), "sample");
  results.download("sample");
  const SampleResult* first = results.host_as<SampleResult>();
  return {first, first + lists.uniform_parts.size()};
}

// A row of its own for every shape.
uint64_t check_draws(DeviceRows& logits, const Lists& lists) {
  std::vector<std::vector<float>> rows;
  for (int r = 0; r < logits.rows; ++r) {
    rows.emplace_back();
    for (int i = 0; i < logits.cols; ++i) rows[r].push_back(logits.get(r, i));
  }
  const SampleConfig config = sample_config(logits.cols);
  const std::vector<SampleResult> results = run_on(logits, lists, config);
  Hash hash;
  for (const SampleShape& s : lists.shapes) {
    const std::vector<float>& row = rows[s.logits_row];
    const bool finite = std::all_of(row.begin(), row.end(), [](float l) { return std::isfinite(l); });
    const std::vector<Choice> left = finite ? plain_choices(row, s, lists) : std::vector<Choice>();
    for (int d = s.first_draw; d < s.first_draw + s.num_draws; ++d) {
      const std::string what = "draw " + std::to_string(d);
      const int32_t token = plain_draw(left, lists.uniform_parts[d]);
      require(results[d].token == token,
              what + " is " + std::to_string(results[d].token) + ", not " + std::to_string(token));
      if (token >= 0 && s.want_logprob)
        require_close(results[d].logprob, plain_logprob(row, token), 2e-5, "log-probability of " + what);
      hash.add(uint32_t(results[d].token)), hash.add(bits_of(results[d].logprob));
    }
  }
  logits.download("sample");
  for (int r = 0; r < logits.rows; ++r) {
    for (int i = 0; i < logits.cols; ++i)
      require(std::memcmp(&rows[r][i], logits.block.host_as<float>() + r * logits.stride + i, 4) == 0,
              "logits are not as they were: row " + std::to_string(r) + " token " + std::to_string(i));
  }
  for (const SampleConfig& other : {SampleConfig{32, 0}, {96, 5}, {256, 64}, {1024, 4096}}) {
    if (other.threads * 200 < logits.cols || other.threads > 64 * logits.cols) continue;
    const std::vector<SampleResult> again = run_on(logits, lists, other);
    require(std::memcmp(again.data(), results.data(), results.size() * sizeof(SampleResult)) == 0,
            "other draws by " + std::to_string(other.threads) + " threads");
  }
  return hash.value();
}

// Shapes of all sorts; every fourth row is full of ties.
uint64_t shapes_case(int V, int rows) {
  CaseNumbers numbers(V);
  DeviceRows logits(DType::kF32, rows, V, V + 3);
  Lists lists;
  for (int r = 0; r < rows; ++r) {
    for (int i = 0; i < V; ++i) logits.set(r, i, r % 4 == 3 ? float(numbers.below(6)) : 3 * numbers.normal());
    SampleShape s;
    s.temperature = r % 3 == 0 ? 1.0f : 0.5f + 0.1f * float(numbers.below(9));
    s.greedy = r % 7 == 6;
    s.top_k = r % 2 ? 0 : 1 + numbers.below(r % 5 == 4 ? V : 60);
    s.dropped_parts = r % 3 == 2 ? 0 : share_parts(1 - double(0.05f * float(1 + numbers.below(19))));
    s.min_p = r % 5 ? 0.0f : 0.02f;
    s.min_p_first = numbers.below(2);
    s.want_logprob = numbers.below(2);
    lists.add(s, r % 6 == 1 ? 4 : 1, numbers);
  }
  logits.block.upload();
  return check_draws(logits, lists);
}

uint64_t penalties_case(const Chip&) {
  CaseNumbers numbers(2);
  const int V = 300, rows = 8;
  DeviceRows logits(DType::kF32, rows, V, V);
  logits.fill_normal(numbers, 2);
  Lists lists;
  for (int r = 0; r < rows; ++r) {
    SampleShape s;
    const int step = 1 + r;  // r = 0: every token
    for (int t = 0; t < V && r != 1; t += step, ++s.num_repeated) lists.repeated.push_back(t);
    for (int t = r; t < V && r != 2; t += 2 * step, ++s.num_generated)
      lists.generated.push_back({t, 1 + numbers.below(9)});
    s.repetition_penalty = 1.3f, s.frequency_penalty = 0.25f, s.presence_penalty = -0.5f;
    s.top_k = 20 * (r % 3), s.want_logprob = 1, s.greedy = r == 3;
    lists.add(s, 3, numbers);
  }
  return check_draws(logits, lists);
}

// Rows that hold no number, or of which nothing is left, beside such that penalties leave one token of.
uint64_t faults_case(const Chip&) {
  CaseNumbers numbers(3);
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const int V = 70;
  DeviceRows logits(DType::kF32, 9, V, V + 2);
  logits.fill_normal(numbers, 2);
  logits.set(0, 69, inf), logits.set(1, 0, -inf), logits.set(2, 33, nan);
  logits.block.upload();
  Lists lists;
  for (int r = 0; r < 9; ++r) {
    SampleShape s;
    if (r > 3) {
      for (int t = r == 4 ? 0 : 1; t < V; ++t, ++s.num_generated) lists.generated.push_back({t, 2});
    }
    s.frequency_penalty = 3e38f;                               // all of them to -inf
    s.presence_penalty = r == 6 ? -inf : r == 7 ? -3e38f : 0;  // -inf - -inf is no number
    s.greedy = r == 8, s.top_k = r % 2, s.want_logprob = 1;
    lists.add(s, 2, numbers);
  }
  return check_draws(logits, lists);
}

}  // namespace

std::vector<KernelCase> sample_cases() {
  return {{"sample V=7", [](const Chip&) { return shapes_case(7, 12); }},
          {"sample V=1000", [](const Chip&) { return shapes_case(1000, 15); }},
          {"sample V=20000", [](const Chip&) { return shapes_case(20000, 8); }},
          {"sample V=151936", [](const Chip&) { return shapes_case(151936, 4); }},
          {"sample penalties", penalties_case},
          {"sample faults", faults_case}};
}

}  // namespace mmprm::cuda
