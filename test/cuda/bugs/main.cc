// cuda_bugs: every planted bug in a process of its own, in this build's modes, held against the table below. A bug that is
// no longer found is a failure, and so is one that is found where the table says it cannot be.
//
//   cuda_bugs [FILTER]            all rows
//   cuda_bugs --one ROW MODE      one run: "right" or "wrong" on the last line, or no end of that kind
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>

#include "bugs/bugs.h"

using namespace mmprm::bugs;

namespace {

// How a run ends: right (not seen), wrong, error (the emulator's), race, memory (an address or undefined-behaviour report).
// A column lists the ends that count: '.' right, 'w', 'e', 'r', 'm', 'x' (any other death).
struct Row {
  const char* name;
  bool (*run)(Bug);
  Bug bug;
  const char *late, *early, *shuffled, *thread, *address;
};

const Row kRows[] = {
    {"pipeline", pipeline, Bug::kNone, ".", ".", ".", ".", "."},
    {"warps", warps, Bug::kNone, ".", ".", ".", ".", "."},
    {"selection", selection, Bug::kNone, ".", ".", ".", ".", "."},
    {"ring", hopper_ring, Bug::kNone, ".", ".", ".", ".", "."},
    {"proxies", proxies, Bug::kNone, ".", ".", ".", ".", "."},
    {"blocks", blocks, Bug::kNone, ".", ".", ".", ".", "."},
    {"streams", streams, Bug::kNone, ".", ".", ".", ".", "."},
    {"__syncthreads missing", pipeline, Bug::kNoSync, "w", "w", "w", "r", "w"},
    {"cp.async waited for one group too little", pipeline, Bug::kWaitTooLittle, "w", ".", ".w", "r", "w"},
    {"a stage overwritten too early", pipeline, Bug::kOverwrite, "w", "w", "w", "r", "w"},
    {"cp.async never drained", pipeline, Bug::kNoDrain, "e", "e", "e", "e", "e"},
    {"misaligned ldmatrix", pipeline, Bug::kMisaligned, "e", "e", "e", "e", "e"},
    {"a row index past the tile", pipeline, Bug::kRowPastTile, "wxe", "wxe", "wxe", "rwxe", "m"},
    {"a lane missing at a shuffle", warps, Bug::kLaneMissing, "e", "e", "e", "e", "e"},
    {"an unwritten chunk merged", warps, Bug::kUnwritten, "w", "w", "w", "w", "w"},
    {"a row read by others than changed it", selection, Bug::kRowUnshared, "w", "w", ".w", "r", "w"},
    {"sums written anew while others read them", selection, Bug::kSumsReused, "w", "w", ".w", "r", "w"},
    {"empty barrier not waited for", hopper_ring, Bug::kNoEmptyWait, "we", "we", "we", "er", "we"},
    {"wrong first parity", hopper_ring, Bug::kWrongParity, "e", "e", "e", "e", "e"},
    {"a stage released with products in flight", hopper_ring, Bug::kEarlyRelease, "w", ".w", ".w", "r", "w"},
    {"one arrival per warpgroup", hopper_ring, Bug::kOneArrival, ".", ".", ".we", "r", "."},
    {"barriers not published", hopper_ring, Bug::kNoInitFence, "e", "e", "e", "e", "e"},
    {"more registers than the block has", hopper_ring, Bug::kTooManyRegisters, "e", "e", "e", "e", "e"},
    {"a warp that keeps its registers", hopper_ring, Bug::kWarpKeeps, "e", "e", "e", "e", "e"},
    {"a warp away from a product", hopper_ring, Bug::kWarpAway, "e", "e", "e", "e", "e"},
    {"a barrier written over", hopper_ring, Bug::kBarrierWritten, "e", "e", "e", "e", "e"},
    {"Hopper's instructions on other chips", hopper_ring, Bug::kOtherChips, "e", "e", "e", "e", "e"},
    {"fence.proxy.async missing before wgmma", proxies, Bug::kNoProxyFence, ".", ".", ".", "r", "."},
    {"fence.proxy.async missing before a tile store", proxies, Bug::kStoreNoFence, ".", ".", ".", "r", "."},
    {"a tile store's memory written too early", proxies, Bug::kStoreReused, "w", ".", ".w", "r", "w"},
    {"a box at an odd column", proxies, Bug::kOddColumn, "e", "e", "e", "e", "e"},
    {"a stored box that begins before the matrix", proxies, Bug::kStoreBefore, "e", "e", "e", "e", "e"},
    {"rows of a tile store that end inside of 16 bytes", proxies, Bug::kStoreRagged, "w", "w", "w", "w", "w"},
    {"a thread ends before its tile store has read", proxies, Bug::kStoreNoWait, "e", ".e", ".e", "e", "e"},
    {"two blocks write one word", blocks, Bug::kTwoWriters, ".", ".", ".", "r", "."},
    {"a block reads what another wrote", blocks, Bug::kReadOther, ".", ".", ".", "r", "."},
    {"a pinned buffer written too early", streams, Bug::kPinnedReused, "w", ".", ".w", "wr", "w"},
    {"freed memory read", streams, Bug::kFreed, "w", "w", "w", "w", "m"},
    {"a result read before the stream was waited for", streams, Bug::kNotSynchronized, "w", ".", ".w", "w",
     "w"},
};

#if defined(MMPRM_EMU_TSAN)
const struct {
  const char* name;
  const char* Row::*column;
} kModes[] = {{"late", &Row::thread}};
#elif defined(MMPRM_EMU_ASAN)
const struct {
  const char* name;
  const char* Row::*column;
} kModes[] = {{"late", &Row::address}};
#else
const struct {
  const char* name;
  const char* Row::*column;
} kModes[] = {{"late", &Row::late}, {"early", &Row::early}, {"7", &Row::shuffled}};
#endif

int run_one(int row, const std::string& mode) {
  emu::Options& o = emu::options();
  o.async = mode == "late" ? emu::Async::kLate : mode == "early" ? emu::Async::kEarly : emu::Async::kRandom;
  o.seed = o.async == emu::Async::kRandom ? std::strtoull(mode.c_str(), nullptr, 10) : 0;
  const bool right = kRows[row].run(kRows[row].bug);
  std::puts(right ? "\nright" : "\nwrong");
  std::fflush(stdout);
  return 0;
}

// The end of a run, as one letter of the table.
char end_of(const char* self, int row, const char* mode, std::string* output) {
  const std::string command =
      "timeout 60 '" + std::string(self) + "' --one " + std::to_string(row) + " " + mode + " 2>&1";
  FILE* child = popen(command.c_str(), "r");
  if (!child) std::abort();
  for (char buffer[4096]; std::fgets(buffer, sizeof buffer, child);) *output += buffer;
  const int status = pclose(child);
  const auto has = [&](const char* text) { return output->find(text) != std::string::npos; };
  if (has("WARNING: ThreadSanitizer: data race")) return 'r';
  if (has("ERROR: AddressSanitizer") || has("runtime error:")) return 'm';
  if (has("emulator: ")) return 'e';
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return has("\nright") ? '.' : has("\nwrong") ? 'w' : 'x';
  return 'x';
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4 && !std::strcmp(argv[1], "--one")) return run_one(std::atoi(argv[2]), argv[3]);
  const char* filter = argc > 1 ? argv[1] : "";
  int passed = 0, failed = 0;
  for (int row = 0; row < int(std::size(kRows)); ++row) {
    if (!std::strstr(kRows[row].name, filter)) continue;
    for (const auto& mode : kModes) {
      std::string output;
      const char end = end_of(argv[0], row, mode.name, &output);
      const char* expected = kRows[row].*mode.column;
      if (std::strchr(expected, end)) {
        ++passed;
      } else {
        ++failed;
        std::printf("FAILED %s [%s]: ended as '%c', expected one of \"%s\"\n%.2000s\n", kRows[row].name,
                    mode.name, end, expected, output.c_str());
      }
    }
  }
  std::printf("%d passed, %d failed\n", passed, failed + (passed + failed == 0));
  return failed > 0 || passed == 0;
}
