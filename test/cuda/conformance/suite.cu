// The suite's two functions: what device this is, and one case from host memory to host memory.
#include <cstdio>
#include <cstring>

#include "conformance/cases.h"

namespace mmprm::conformance {
namespace {

bool failed(cudaError_t e, const char* what, char* error) {
  if (e == cudaSuccess) return false;
  std::snprintf(error, 512, "%s: %s (%s)", what, cudaGetErrorName(e), cudaGetErrorString(e));
  return true;
}

bool describe(DeviceText* d, char* error) {
  cudaDeviceProp p;
  *d = {};
  if (failed(cudaGetDeviceProperties(&p, 0), "cudaGetDeviceProperties", error)) return false;
  std::snprintf(d->name, sizeof d->name, "%s", p.name);
  d->major = p.major;
  d->minor = p.minor;
  d->multiprocessors = p.multiProcessorCount;
  d->shared_bytes = p.sharedMemPerBlockOptin;
  return !failed(cudaMemGetInfo(&d->free_bytes, &d->total_bytes), "cudaMemGetInfo", error) &&
         !failed(cudaDriverGetVersion(&d->driver), "cudaDriverGetVersion", error) &&
         !failed(cudaRuntimeGetVersion(&d->runtime), "cudaRuntimeGetVersion", error);
}

struct Buffers {
  void *in = nullptr, *out = nullptr;
  ~Buffers() {
    cudaFree(in);
    cudaFree(out);
  }
};

bool run(int index, const uint32_t* in, uint32_t* out, char* error) {
  const Case& c = all_cases().at(size_t(index));
  size_t words = 0;
  for (const Stretch& s : c.in) words += s.words;
  const size_t in_bytes = words * 4 * size_t(c.problems), out_bytes = c.out_words * 4 * size_t(c.problems);
  Buffers b;
  if (failed(cudaMalloc(&b.in, in_bytes), "cudaMalloc", error)) return false;
  if (failed(cudaMalloc(&b.out, out_bytes), "cudaMalloc", error)) return false;
  if (failed(cudaMemcpy(b.in, in, in_bytes, cudaMemcpyHostToDevice), "cudaMemcpy", error)) return false;
  if (failed(cudaMemset(b.out, 0xff, out_bytes), "cudaMemset", error)) return false;
  if (failed(c.run(static_cast<const uint32_t*>(b.in), static_cast<uint32_t*>(b.out), c.problems), "launch",
             error))
    return false;
  if (failed(cudaDeviceSynchronize(), "kernel", error)) return false;
  return !failed(cudaMemcpy(out, b.out, out_bytes, cudaMemcpyDeviceToHost), "cudaMemcpy", error);
}

#if MMPRM_EMULATED
void configure(int chips, int mode, int workers) {
  emu::Options& o = emu::options();
  o = {};
  o.chips = chips > 90 ? emu::Chips::kBlackwell : chips == 90 ? emu::Chips::kHopper : emu::Chips::kAmpere;
  o.async = mode == 0 ? emu::Async::kLate : mode == 1 ? emu::Async::kEarly : emu::Async::kRandom;
  o.seed = mode > 1 ? uint64_t(mode) : 0;
  o.workers = workers;
}
#else
void configure(int, int, int) {}
#endif

const Suite* suite() {
  static const std::vector<CaseInfo> infos = [] {
    std::vector<CaseInfo> v;
    for (const Case& c : all_cases())
      v.push_back({c.name, c.in.data(), int(c.in.size()), c.out_words, c.compare, c.problems, c.chips});
    return v;
  }();
  static const Suite s{int(infos.size()), infos.data(), describe, run, configure};
  return &s;
}

}  // namespace
}  // namespace mmprm::conformance

#if MMPRM_EMULATED
extern "C" __attribute__((visibility("default"))) const mmprm::conformance::Suite* mmprm_emulated_suite() {
#else
extern "C" const mmprm::conformance::Suite* mmprm_card_suite() {
#endif
  return mmprm::conformance::suite();
}
