// The golden models on a device, without Node: what a card gives is held against the trusted implementation, against
// itself asked in another way, and, bit by bit, against what the emulator gave.
//
//   device_check [--device cpu|cuda|cuda:N|emulated] [--library FILE] [--golden FOLDER] [--models WORD]
//                [--weights f32,bf16] [--hashes FILE] [--record FILE] [--json FILE]
//
// Models run in f32, bf16, int8 and int4. f32 is held to the golden tensors, scores and tokens; bf16 to this device's
// own f32 (tolerances: test/golden/README.md); all to the promise of equal bits and, with --hashes, to what is recorded
// there for the device's class. --record appends to FILE. The library is looked for beside this program. Exit code: 1
// where anything failed, 2 where the device or the files cannot be had.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "hashes.h"
#include "outcome.h"

using namespace mmprm;
using namespace mmprm::golden;

namespace {

constexpr double kF32Relative = 1e-4, kF32Score = 1e-5, kBf16Relative = 3e-2, kBf16Score = 4e-2;
// WHY so few pages: the emulated device touches all memory that it gives out.
constexpr uint64_t kPageBytes = uint64_t{8} << 20;

struct Options {
  std::string device = "cpu", library, golden = "test/golden", models, weights = "f32,bf16,int8,int4";
  std::string hashes, record, json;
};

Options parse(int argc, char** argv) {
  Options o;
  const std::map<std::string, std::string*> known = {
      {"--device", &o.device},   {"--library", &o.library}, {"--golden", &o.golden}, {"--models", &o.models},
      {"--weights", &o.weights}, {"--hashes", &o.hashes},   {"--record", &o.record}, {"--json", &o.json}};
  for (int i = 1; i < argc; i += 2) {
    const auto found = known.find(argv[i]);
    if (found == known.end() || i + 1 == argc)
      throw Error(ErrorCode::kInvalidArgument, std::string("unknown option or no value: ") + argv[i]);
    *found->second = argv[i + 1];
  }
  if (o.library.empty() && o.device != "cpu") {
    const char* name = o.device == "emulated" ? "mm_prm_cuda_emulated.so" : "mm_prm_cuda.so";
    o.library = std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
  }
  return o;
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> words;
  std::istringstream in(list);
  for (std::string word; std::getline(in, word, ',');) words.push_back(word);
  return words;
}

DType dtype_named(const std::string& name) {
  if (name == "f32") return DType::kF32;
  if (name == "bf16") return DType::kBF16;
  if (name == "int8") return DType::kInt8;
  if (name == "int4") return DType::kInt4;
  throw Error(ErrorCode::kInvalidArgument, "weights \"" + name + "\"; known: f32, bf16, int8, int4");
}

std::string json_text(const std::string& text) {
  std::string out = "\"";
  for (char c : text)
    out += c == '"' || c == '\\' ? std::string("\\") + c : c < ' ' ? " " : std::string(1, c);
  return out + "\"";
}

std::string json_list(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) out += (out.size() > 1 ? ", " : "") + json_text(text);
  return out + "]";
}

// What was run, and all that was wrong with it.
struct Report {
  DeviceSummary device;
  std::vector<std::string> failures, left_out, runs;
  int compared = 0, hashes = 0, without_hash = 0;

  void require(bool condition, const std::string& what) {
    ++compared;
    if (condition) return;
    failures.push_back(what);
    std::printf("FAIL %s\n", what.c_str());
  }
};

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

// Against the trusted implementation.
void compare_golden(const Case& c, const Outcome& got, const std::string& where, Report& report) {
  compare_tensors(got, c.tensors, kF32Relative, where, report);
  if (c.kind == Kind::kScore) compare_scores(got, c.scores, kF32Score, where, report);
  if (c.kind != Kind::kGreedy) return;
  for (const std::vector<int32_t>& tokens : got.tokens)
    report.require(tokens == c.tokens, where + ": other tokens than the trusted ones");
}

// Against this device's own f32.
void compare_bf16(const Case& c, const Outcome& got, Outcome f32, const std::string& where, Report& report) {
  if (c.kind == Kind::kScore) {  // two numbers a marker: held by the scores
    compare_scores(got, f32.scores, kBf16Score, where, report);
  } else {
    compare_tensors(got, f32.tensors, kBf16Relative, where, report);
  }
}

void compare_hash(const Options& o, const ModelHashes* recorded, const std::string& weights,
                  const Model& model, const ModelHash& hash, const std::string& where, Report& report) {
  const std::string& device_class = report.device.result_class;
  if (!o.record.empty())
    std::ofstream(o.record, std::ios::app) << hash_line(device_class, weights, model.name, hash) << "\n";
  if (!recorded) return;
  const std::optional<ModelHash> known = recorded->find(device_class, weights, model.name);
  if (!known) {
    report.require(false, where + ": no hash is recorded for the class " + device_class);
  } else if (known->angles != hash.angles) {
    ++report.without_hash;
    report.left_out.push_back(where + ": this machine's cosines are others than those of the recording");
  } else {
    ++report.hashes;
    report.require(known->outcomes == hash.outcomes,
                   where + ": hash " + hex(hash.outcomes) + ", the emulator gave " + hex(known->outcomes));
  }
}

using Outcomes = std::vector<Outcome>;

Outcomes run_model(const Options& o, const Model& model, const std::string& weights, const Outcomes& f32,
                   const ModelHashes* recorded, Report& report) {
  const auto began = std::chrono::steady_clock::now();
  EngineOptions options;
  options.model_folder = model.folder;
  options.weights = dtype_named(weights);
  options.device = o.device;
  options.device_library = o.library;
  options.kv_cache_bytes = kPageBytes;
  options.adapters = model.adapters;
  const std::shared_ptr<Engine> engine = Engine::open(options, {}, nullptr);
  report.device = engine->info().device;
  const std::string where = model.name + " " + weights;
  const size_t failed_before = report.failures.size();
  Outcomes outcomes;
  ModelHash hash{0, hash_of_angles(model.folder)};
  for (const Case& c : model.cases) {
    outcomes.push_back(run_case(*engine, c));
    const Outcome& got = outcomes.back();
    hash.outcomes = hash_of(got, hash.outcomes);
    if (weights == "f32") compare_golden(c, got, where + " " + c.name, report);
    if (weights == "bf16" && !f32.empty())
      compare_bf16(c, got, f32[outcomes.size() - 1], where + " " + c.name, report);
  }
  Outcome drawn;
  for (const std::string& broken : broken_promises(*engine, model, drawn))
    report.require(false, where + " " + broken);
  hash.outcomes = hash_of(drawn, hash.outcomes);
  compare_hash(o, recorded, weights, model, hash, where, report);
  engine->close();
  engine->join();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  const size_t failed = report.failures.size() - failed_before;
  std::printf("%s %6.2f s  %s: %zu cases, hash %s\n", failed == 0 ? "ok  " : "FAIL", seconds, where.c_str(),
              model.cases.size(), hex(hash.outcomes).c_str());
  std::fflush(stdout);
  report.runs.push_back("{\"model\": " + json_text(model.name) + ", \"weights\": " + json_text(weights) +
                        ", \"cases\": " + std::to_string(model.cases.size()) + ", \"failed\": " +
                        std::to_string(failed) + ", \"hash\": \"" + hex(hash.outcomes) + "\"}");
  return outcomes;
}

std::vector<std::string> model_folders(const Options& o) {
  std::vector<std::string> folders;
  for (const auto& entry : std::filesystem::directory_iterator(o.golden + "/models")) {
    const std::string name = entry.path().filename();
    if (entry.is_directory() && name.find(o.models) != std::string::npos) folders.push_back(entry.path());
  }
  if (folders.empty()) throw Error(ErrorCode::kInvalidArgument, o.golden + "/models: no model to run");
  std::sort(folders.begin(), folders.end());
  return folders;
}

void write_json(const Options& o, const Report& report) {
  if (o.json.empty()) return;
  std::string runs;
  for (const std::string& run : report.runs) runs += (runs.empty() ? "" : ",\n  ") + run;
  std::ofstream(o.json) << "{\"part\": 3, \"device\": " << json_text(report.device.name)
                        << ", \"class\": " << json_text(report.device.result_class)
                        << ", \"compared\": " << report.compared << ", \"hashes\": " << report.hashes
                        << ", \"withoutHash\": " << report.without_hash
                        << ", \"failed\": " << report.failures.size()
                        << ",\n \"failures\": " << json_list(report.failures)
                        << ",\n \"leftOut\": " << json_list(report.left_out) << ",\n \"runs\": [" << runs
                        << "]}\n";
}

int run(const Options& o) {
  std::unique_ptr<ModelHashes> recorded;
  if (!o.hashes.empty()) recorded = std::make_unique<ModelHashes>(o.hashes);
  Report report;
  for (const std::string& folder : model_folders(o)) {
    Model model;
    try {
      model = read_model(folder);
    } catch (const Error& e) {
      report.require(false, e.what());
      continue;
    }
    Outcomes f32;
    for (const std::string& weights : split(o.weights)) {
      try {
        Outcomes outcomes = run_model(o, model, weights, f32, recorded.get(), report);
        if (weights == "f32") f32 = std::move(outcomes);
      } catch (const Error& e) {
        if (e.code() == ErrorCode::kNoDevice) throw;
        report.require(false, model.name + " " + weights + ": " + e.what());
      }
      write_json(o, report);  // what is known stays, whatever ends this program
    }
  }
  std::printf("%s (%s): %d compared, %d of them hashes, %zu failed, %zu left out\n",
              report.device.name.c_str(), report.device.result_class.c_str(), report.compared, report.hashes,
              report.failures.size(), report.left_out.size());
  return report.failures.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(parse(argc, argv));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "device_check: %s\n", e.what());
    return 2;
  }
}
