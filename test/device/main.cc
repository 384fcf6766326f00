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
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "command_line.h"
#include "report.h"

using namespace mmprm;
using namespace mmprm::golden;

namespace {

// WHY so few pages: the emulated device touches all memory that it gives out.
constexpr uint64_t kPageBytes = uint64_t{8} << 20;

struct Options {
  std::string device = "cpu", library, golden = "test/golden", models, weights = "f32,bf16,int8,int4";
  std::string hashes, record, json;
};

Options parse(int argc, char** argv) {
  Options o;
  read_options(argc, argv,
               {{"--device", &o.device},
                {"--library", &o.library},
                {"--golden", &o.golden},
                {"--models", &o.models},
                {"--weights", &o.weights},
                {"--hashes", &o.hashes},
                {"--record", &o.record},
                {"--json", &o.json}});
  if (o.library.empty()) o.library = library_beside_program(o.device);
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
    if (weights == "f32") report.compare_golden(c, got, where + " " + c.name);
    if (weights == "bf16" && !f32.empty())
      report.compare_bf16(c, got, f32[outcomes.size() - 1], where + " " + c.name);
  }
  Outcome drawn;
  for (const std::string& broken : broken_promises(*engine, model, drawn))
    report.require(false, where + " " + broken);
  hash.outcomes = hash_of(drawn, hash.outcomes);
  if (!o.record.empty()) {
    std::ofstream(o.record, std::ios::app)
        << hash_line(report.device.result_class, weights, model.name, hash) << "\n";
  }
  if (recorded) report.compare_hash(*recorded, weights, model.name, hash, where);
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
      if (!o.json.empty()) report.write_json(o.json);  // what is known stays, whatever ends this program
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
