// Times attention on a card, as one layer of an 8B decoder and its vision tower ask for it.
//
//   attention_grid [--json FILE]
//
// Keys and values lie in pages of a pool larger than L2; siblings share their prompt's pages. Median of events over
// recorded launches. attention_torch.py times the same shapes.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include "kernels/cuda_plan_case.h"

using namespace mmprm;
using namespace mmprm::cuda;

namespace {

struct Shape {
  const char* name;
  int D, H, G;
  int prompts, siblings;  // siblings of a prompt share its `shared` positions
  int shared, own;        // positions of a prompt, and of each sibling behind it
  int rows;               // of each sibling, the last ones
  bool causal;
};
constexpr Shape kShapes[] = {
    {"decode 16 siblings", 128, 32, 8, 1, 16, 2048, 256, 1, true},
    {"decode 16 x 16 siblings", 128, 32, 8, 16, 16, 2048, 256, 1, true},
    {"decode 64 alone", 128, 32, 8, 64, 1, 0, 2304, 1, true},
    {"prefill 4096", 128, 32, 8, 1, 1, 0, 4096, 4096, true},
    {"tree 16 x 128 behind 2048", 128, 32, 8, 1, 16, 2048, 128, 128, true},
    {"vision 13 tiles", 64, 16, 16, 13, 1, 0, 1025, 1025, false},
};

StepPlan plan_of(const Shape& s, int& num_pages) {
  StepPlan plan;
  const auto pages_of = [](int positions) { return (positions + kPageTokens - 1) / kPageTokens; };
  for (int p = 0; p < s.prompts; ++p) {
    const int first_shared = num_pages;
    num_pages += pages_of(s.shared);
    for (int b = 0; b < s.siblings; ++b) {
      const int first = int(plan.pages.size()), keys = s.shared + s.own;
      for (int i = 0; i < pages_of(s.shared); ++i) plan.pages.push_back(first_shared + i);
      for (int i = 0; i < pages_of(s.own); ++i) plan.pages.push_back(num_pages++);
      for (int r = keys - s.rows; r < keys; ++r) plan.keys_T.push_back({first, s.causal ? r + 1 : keys});
    }
  }
  return plan;
}

double median_seconds(cudaStream_t stream, int calls, const std::function<void()>& call) {
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  require_ok(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
  for (int i = 0; i < calls; ++i) call();
  require_ok(cudaStreamEndCapture(stream, &graph), "capture");
  require_ok(cudaGraphInstantiate(&exec, graph, 0), "instantiate");
  cudaEvent_t begin, end;
  require_ok(cudaEventCreate(&begin), "event");
  require_ok(cudaEventCreate(&end), "event");
  std::vector<double> seconds;
  for (int i = 0; i < 8; ++i) {
    require_ok(cudaEventRecord(begin, stream), "record");
    require_ok(cudaGraphLaunch(exec, stream), "launch");
    require_ok(cudaEventRecord(end, stream), "record");
    require_ok(cudaEventSynchronize(end), "attention");
    float ms = 0;
    require_ok(cudaEventElapsedTime(&ms, begin, end), "elapsed");
    if (i > 0) seconds.push_back(ms * 1e-3 / calls);  // the first one warms up
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

double time_shape(const Shape& s, const Chip& chip, cudaStream_t stream, double& flops, double& bytes) {
  int num_pages = 0;
  const StepPlan plan = plan_of(s, num_pages);
  const int rows = int(plan.keys_T.size());
  PagePool pool(DType::kBF16, 1, s.G, s.D, num_pages);
  DeviceRows q(DType::kBF16, rows, s.H * s.D, s.H * s.D), o(DType::kBF16, rows, s.H * s.D, s.H * s.D);
  CaseNumbers numbers(1);
  pool.fill_normal(numbers);
  q.fill_normal(numbers, 0.1f);
  std::vector<int32_t> all(static_cast<size_t>(rows));
  std::iota(all.begin(), all.end(), 0);
  const int rows_per_item = kAttendRows / (s.H / s.G);
  Uploads uploads;
  const DevicePlan uploaded = upload_plan(plan, uploads);
  const UploadedWork work(plan, all, {rows_per_item, rows <= 256 ? 1 << 14 : 0, 2 * chip.multiprocessors},
                          pool.pages, s.H, uploads);
  AttentionOp op;
  op.o = tensor_of(o);
  op.q = tensor_of(q);
  op.heads_H = s.H;
  flops = 0;
  for (const KeyRun& run : plan.keys_T) flops += 4.0 * s.H * s.D * run.num_keys;
  bytes = double(num_pages) * kPageTokens * s.G * s.D * 4;  // every page once
  return median_seconds(stream, rows <= 256 ? 16 : 4, [&] {
    const AttendKernel kernel = attend_kernel(chip.chip_class, pool.pages.dtype, pool.pages.padded_D);
    require_ok(attention(op, uploaded, pool.pages, work.work, kernel, chip.multiprocessors, stream),
               "attention");
  });
}

}  // namespace

int main(int argc, char** argv) {
  std::ofstream json(argc > 2 && std::string(argv[1]) == "--json" ? argv[2] : "/dev/null");
  try {
    const Chip chip = Chip::current();
    cudaStream_t stream;
    require_ok(cudaStreamCreate(&stream), "stream");
    for (const Shape& s : kShapes) {
      double flops = 0, bytes = 0;
      const double seconds = time_shape(s, chip, stream, flops, bytes);
      std::printf("%-28s %9.1f us %7.1f TFLOP/s %6.2f TB/s of pages\n", s.name, seconds * 1e6,
                  flops / seconds * 1e-12, bytes / seconds * 1e-12);
      std::fflush(stdout);
      json << "{\"attention\": \"" << s.name << "\", \"us\": " << seconds * 1e6
           << ", \"tflops\": " << flops / seconds * 1e-12 << ", \"pages_tbs\": " << bytes / seconds * 1e-12
           << "}\n";
      json.flush();
    }
  } catch (const CheckFailed& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
