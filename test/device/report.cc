#include "report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>

namespace mmprm::golden {
namespace {

constexpr double kF32Relative = 1e-4, kF32Score = 1e-5, kBf16Relative = 3e-2, kBf16Score = 4e-2;

std::string json_list(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) out += (out.size() > 1 ? ", " : "") + json_text(text);
  return out + "]";
}

std::string text(double value) {
  char out[32];
  std::snprintf(out, sizeof out, "%.3g", value);
  return out;
}

void compare_tensors(const Outcome& got, const std::map<std::string, std::vector<float>>& expected,
                     double bound, const std::string& where, Report& report) {
  for (const auto& [name, values] : expected) {
    const auto found = got.tensors.find(name);
    const double off = found == got.tensors.end() ? INFINITY : relative_distance(found->second, values);
    report.require(off <= bound, where + ": " + name + " is off by " + text(off));
  }
}

void compare_scores(const Outcome& got, const std::vector<std::vector<float>>& expected, double bound,
                    const std::string& where, Report& report) {
  bool same = got.scores.size() == expected.size() || expected.empty();
  double worst = 0;
  for (size_t i = 0; same && i < expected.size(); ++i) {
    same = got.scores[i].size() == expected[i].size();
    for (size_t k = 0; same && k < expected[i].size(); ++k) {
      const double off = std::fabs(double(got.scores[i][k]) - expected[i][k]);
      worst = std::isnan(off) ? INFINITY : std::max(worst, off);
    }
  }
  report.require(same && worst <= bound,
                 where + ": scores are off by " + (same ? text(worst) : "their number"));
}

}  // namespace

std::string json_text(const std::string& text) {
  std::string out = "\"";
  for (char c : text)
    out += c == '"' || c == '\\' ? std::string("\\") + c : c < ' ' ? " " : std::string(1, c);
  return out + "\"";
}

void Report::require(bool condition, const std::string& what) {
  ++compared;
  if (condition) return;
  failures.push_back(what);
  std::printf("FAIL %s\n", what.c_str());
}

void Report::compare_golden(const Case& c, const Outcome& got, const std::string& where) {
  compare_tensors(got, c.tensors, kF32Relative, where, *this);
  if (c.kind == Kind::kScore) compare_scores(got, c.scores, kF32Score, where, *this);
  if (c.kind != Kind::kGreedy) return;
  for (const std::vector<int32_t>& tokens : got.tokens)
    require(tokens == c.tokens, where + ": other tokens than the trusted ones");
}

void Report::compare_bf16(const Case& c, const Outcome& got, const Outcome& f32, const std::string& where) {
  if (c.kind == Kind::kScore) {  // two numbers a marker: held by the scores
    compare_scores(got, f32.scores, kBf16Score, where, *this);
  } else {
    compare_tensors(got, f32.tensors, kBf16Relative, where, *this);
  }
}

void Report::compare_hash(const ModelHashes& recorded, const std::string& weights, const std::string& model,
                          const ModelHash& hash, const std::string& where) {
  const std::optional<ModelHash> known = recorded.find(device.result_class, weights, model);
  if (!known) {
    require(false, where + ": no hash is recorded for the class " + device.result_class);
  } else if (known->angles != hash.angles) {
    ++without_hash;
    left_out.push_back(where + ": this machine's cosines are others than those of the recording");
  } else {
    ++hashes;
    require(known->outcomes == hash.outcomes,
            where + ": hash " + hex(hash.outcomes) + ", the emulator gave " + hex(known->outcomes));
  }
}

void Report::write_json(const std::string& path) const {
  std::string all;
  for (const std::string& run : runs) all += (all.empty() ? "" : ",\n  ") + run;
  std::ofstream(path) << "{\"part\": 3, \"device\": " << json_text(device.name)
                      << ", \"class\": " << json_text(device.result_class) << ", \"compared\": " << compared
                      << ", \"hashes\": " << hashes << ", \"withoutHash\": " << without_hash
                      << ", \"failed\": " << failures.size() << ",\n \"failures\": " << json_list(failures)
                      << ",\n \"leftOut\": " << json_list(left_out) << ",\n \"runs\": [" << all << "]}\n";
}

}  // namespace mmprm::golden
