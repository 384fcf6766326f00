// Streams, events and recorded graphs of the emulated device: queues that run when something waits for them.
#include <chrono>
#include <cstdlib>
#include <set>
#include <utility>

#include "emulator/block.h"
#include "emulator/runtime.h"

struct CUstream_st {
  bool blocking = true;  // ordered with the null stream
  std::deque<std::function<void()>> queue;
  uint64_t enqueued = 0, done = 0;
  std::unique_ptr<CUgraph_st> recording;
  bool invalidated = false;
};
struct CUevent_st {
  cudaStream_t stream = nullptr;
  uint64_t position = 0;  // work of `stream` that it stands behind
  bool timing = true, recorded = false;
  std::shared_ptr<double> when = std::make_shared<double>(0);
};

namespace emu {
namespace {

cudaError_t last_error = cudaSuccess;
std::set<cudaStream_t>& streams = *new std::set<cudaStream_t>;  // never destroyed
uint64_t random_state = 88172645463325252ull;

CUstream_st& null_stream() {
  static CUstream_st s;
  return s;
}
cudaStream_t resolve(cudaStream_t s) { return s ? s : &null_stream(); }
bool known(cudaStream_t s) { return s == nullptr || s == &null_stream() || streams.count(s); }

void run_until(cudaStream_t s, uint64_t position) {
  while (s->done < position && !s->queue.empty()) {
    const std::function<void()> op = std::move(s->queue.front());
    s->queue.pop_front();
    op();
    ++s->done;
  }
}
void run_all(cudaStream_t s) { run_until(s, s->enqueued); }

// At random: other streams go on a little at every call.
void random_progress() {
  if (options().async != Async::kRandom) return;
  const auto next = [] {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
  };
  for (cudaStream_t s : streams)
    if (next() & 1) run_until(s, s->done + next() % 4);
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// What must not happen while a stream records; the recording is lost.
cudaError_t refuse_capture(cudaStream_t s) {
  s->invalidated = true;
  return result(cudaErrorStreamCaptureUnsupported);
}

}  // namespace

cudaError_t result(cudaError_t e) {
  if (e != cudaSuccess && e != cudaErrorNotReady) last_error = e;
  return e;
}

cudaError_t enqueue(cudaStream_t stream, std::function<void()> run) {
  if (!known(stream)) return result(cudaErrorInvalidResourceHandle);
  stream = resolve(stream);
  if (stream->recording) {
    stream->recording->ops.push_back(std::move(run));
    return cudaSuccess;
  }
  if (stream == &null_stream()) {
    if (any_capture()) return result(cudaErrorStreamCaptureUnsupported);
    for (cudaStream_t s : streams)
      if (s->blocking) run_all(s);
  } else if (stream->blocking) {
    run_all(&null_stream());
  }
  stream->queue.push_back(std::move(run));
  ++stream->enqueued;
  if (options().async == Async::kEarly) run_all(stream);
  random_progress();
  return cudaSuccess;
}

bool any_capture() {
  for (cudaStream_t s : streams)
    if (s->recording) return true;
  return false;
}
bool is_capturing(cudaStream_t s) { return known(s) && resolve(s)->recording; }

void drain_all() {
  for (cudaStream_t s : streams) run_all(s);
  run_all(&null_stream());
}

cudaError_t drain(cudaStream_t stream) {
  if (!known(stream)) return result(cudaErrorInvalidResourceHandle);
  stream = resolve(stream);
  if (stream->recording) return refuse_capture(stream);
  if (stream == &null_stream())
    for (cudaStream_t s : streams)
      if (s->blocking) run_all(s);
  run_all(stream);
  return cudaSuccess;
}

}  // namespace emu

using namespace emu;

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return last_error; }

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  *stream = new CUstream_st;
  (*stream)->blocking = flags != cudaStreamNonBlocking;
  streams.insert(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (!streams.count(stream)) return result(cudaErrorInvalidResourceHandle);
  run_all(stream);
  streams.erase(stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) { return drain(stream); }
cudaError_t cudaDeviceSynchronize() {
  if (any_capture()) return result(cudaErrorStreamCaptureUnsupported);
  drain_all();
  return cudaSuccess;
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  if (!known(stream)) return result(cudaErrorInvalidResourceHandle);
  random_progress();
  if (resolve(stream)->queue.empty()) return cudaSuccess;
  run_until(resolve(stream), resolve(stream)->done + 1);  // who asks often enough gets there
  return cudaErrorNotReady;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  *event = new CUevent_st;
  (*event)->timing = !(flags & cudaEventDisableTiming);
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (!known(stream)) return result(cudaErrorInvalidResourceHandle);
  stream = resolve(stream);
  if (stream->recording) return refuse_capture(stream);  // nothing forks here
  const cudaError_t e = enqueue(stream, [when = event->when] { *when = now(); });
  event->stream = stream;
  event->position = stream->enqueued;
  event->recorded = true;
  return e;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  if (!known(stream)) return result(cudaErrorInvalidResourceHandle);
  if (resolve(stream)->recording) return refuse_capture(resolve(stream));
  if (!event->recorded) return cudaSuccess;
  return enqueue(stream, [of = event->stream, position = event->position] {
    if (known(of)) run_until(of, position);
  });
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (event->recorded && known(event->stream)) run_until(event->stream, event->position);
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  random_progress();
  if (!event->recorded || !known(event->stream) || event->stream->done >= event->position) return cudaSuccess;
  run_until(event->stream, event->stream->done + 1);
  return cudaErrorNotReady;
}
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t from, cudaEvent_t to) {
  if (!from->timing || !to->timing || !from->recorded || !to->recorded)
    return result(cudaErrorInvalidResourceHandle);
  for (cudaEvent_t e : {from, to})
    if (known(e->stream) && e->stream->done < e->position) return cudaErrorNotReady;
  *ms = float((*to->when - *from->when) * 1e3);
  return cudaSuccess;
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  return enqueue(stream, [=] { function(data); });
}

// ---- graphs

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (!streams.count(stream)) return result(cudaErrorStreamCaptureUnsupported);  // the null stream cannot
  if (stream->recording) return result(cudaErrorIllegalState);
  stream->recording = std::make_unique<CUgraph_st>();
  stream->invalidated = false;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  if (!streams.count(stream) || !stream->recording) return result(cudaErrorIllegalState);
  auto recorded = std::move(stream->recording);
  if (stream->invalidated) return result(cudaErrorStreamCaptureInvalidated);
  *graph = recorded.release();
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  if (!known(stream)) return result(cudaErrorInvalidResourceHandle);
  const CUstream_st& s = *resolve(stream);
  *status = !s.recording    ? cudaStreamCaptureStatusNone
            : s.invalidated ? cudaStreamCaptureStatusInvalidated
                            : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  if (!graph) return result(cudaErrorInvalidValue);
  *exec = new CUgraphExec_st{std::make_shared<const std::vector<std::function<void()>>>(graph->ops)};
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  if (!exec) return result(cudaErrorInvalidValue);
  if (is_capturing(stream)) return refuse_capture(resolve(stream));
  return enqueue(stream, [ops = exec->ops] {
    for (const std::function<void()>& op : *ops) op();
  });
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  return cudaSuccess;
}
