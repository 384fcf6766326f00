#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "base/fixed_point.h"
#include "base/philox.h"
#include "cuda/token_draws.h"

namespace mmprm::cuda {
namespace {

bool same_distribution(const Draw& a, const Draw& b) {
  const auto repeated = [](const Draw& d) { return std::span(d.repeated, size_t(d.num_repeated)); };
  const auto generated = [](const Draw& d) { return std::span(d.generated, size_t(d.num_generated)); };
  const auto same_count = [](TokenCount x, TokenCount y) { return x.token == y.token && x.times == y.times; };
  return sample_shape(a) == sample_shape(b) && std::ranges::equal(repeated(a), repeated(b)) &&
         std::ranges::equal(generated(a), generated(b), same_count);
}

// For each row of logits its distributions, for each of those its draws.
using Draws = std::vector<int32_t>;
std::vector<std::vector<Draws>> draws_by_row(const SampleOp& op) {
  std::vector<std::vector<Draws>> rows;
  std::unordered_map<int32_t, size_t> place;
  for (int32_t i = 0; i < op.num_draws; ++i) {
    const Draw& draw = op.draws[i];
    const auto [at, fresh] = place.try_emplace(draw.logits_row, rows.size());
    if (fresh) rows.emplace_back();
    std::vector<Draws>& of_row = rows[at->second];
    const auto same = std::ranges::find_if(
        of_row, [&](const Draws& others) { return same_distribution(op.draws[others[0]], draw); });
    if (same != of_row.end()) {
      same->push_back(i);
    } else {
      of_row.push_back({i});
    }
  }
  return rows;
}

void reserve(DeviceMemory& memory, size_t bytes, cudaStream_t stream) {
  if (memory.bytes() >= bytes) return;
  check(cudaStreamSynchronize(stream), "memory for draws");
  memory = DeviceMemory();
  memory = DeviceMemory(bytes + bytes / 2);
}

// Arrays one behind the other in pinned memory and, at the same offsets, on the card.
class Upload {
 public:
  Upload(PinnedMemory& pinned, DeviceMemory& device, size_t bytes, cudaStream_t stream)
      : pinned_(pinned), device_(device), stream_(stream) {
    pinned_.reserve(bytes);
    reserve(device_, bytes, stream);
  }
  template <typename T>
  static size_t bytes_of(const std::vector<T>& values) {
    return (values.size() * sizeof(T) + 15) / 16 * 16;
  }
  template <typename T>
  const T* add(const std::vector<T>& values) {
    const size_t at = used_;
    if (!values.empty()) std::memcpy(pinned_.data() + at, values.data(), values.size() * sizeof(T));
    used_ += bytes_of(values);
    return reinterpret_cast<const T*>(device_.as() + at);
  }
  void send() {
    check(cudaMemcpyAsync(device_.as(), pinned_.data(), used_, cudaMemcpyHostToDevice, stream_),
          "upload of draws");
  }

 private:
  PinnedMemory& pinned_;
  DeviceMemory& device_;
  cudaStream_t stream_;
  size_t used_ = 0;
};

}  // namespace

DrawLists::DrawLists(const SampleOp& op) {
  for (const std::vector<Draws>& row : draws_by_row(op)) {
    for (size_t wave = 0; wave < row.size(); ++wave) {
      const Draw& first = op.draws[row[wave][0]];
      SampleShape shape = sample_shape(first);
      shape.first_draw = int32_t(order.size()), shape.num_draws = int32_t(row[wave].size());
      shape.first_repeated = int32_t(repeated.size());
      repeated.insert(repeated.end(), first.repeated, first.repeated + shape.num_repeated);
      shape.first_generated = int32_t(generated.size());
      generated.insert(generated.end(), first.generated, first.generated + shape.num_generated);
      for (int32_t i : row[wave]) {
        const Draw& draw = op.draws[i];
        order.push_back(i);
        uniform_parts.push_back(share_parts(sampling_uniform(draw.seed, draw.sample, draw.position)));
      }
      if (waves.size() == wave) waves.emplace_back();
      waves[wave].push_back(shape);
    }
  }
}

void TokenDraws::run(const SampleOp& op) {
  if (op.num_draws == 0) return;
  const DrawLists host(op);
  std::vector<SampleShape> shapes;
  for (const auto& wave : host.waves) shapes.insert(shapes.end(), wave.begin(), wave.end());
  Upload upload(pinned_, lists_,
                Upload::bytes_of(shapes) + Upload::bytes_of(host.uniform_parts) +
                    Upload::bytes_of(host.repeated) + Upload::bytes_of(host.generated),
                stream_);
  const size_t result_bytes = host.order.size() * sizeof(SampleResult);
  pinned_results_.reserve(result_bytes);
  reserve(results_, result_bytes, stream_);
  reserve(saved_, (host.repeated.size() + host.generated.size()) * sizeof(float), stream_);
  SampleLists lists;
  lists.shapes = upload.add(shapes);
  lists.uniform_parts = upload.add(host.uniform_parts);
  lists.repeated = upload.add(host.repeated);
  lists.generated = upload.add(host.generated);
  lists.saved_repeated = saved_.as<float>();
  lists.saved_generated = saved_.as<float>() + host.repeated.size();
  lists.results = results_.as<SampleResult>();
  upload.send();
  const SampleConfig config = sample_config(op.logits.cols);
  int first = 0;
  for (const auto& wave : host.waves) {
    check(cuda::sample(op.logits, lists, first, int(wave.size()), config, stream_), "sample");
    first += int(wave.size());
  }
  check(cudaMemcpyAsync(pinned_results_.data(), results_.as(), result_bytes, cudaMemcpyDeviceToHost, stream_),
        "sample");
  check(cudaStreamSynchronize(stream_), "sample");
  for (size_t i = 0; i < host.order.size(); ++i) {
    SampleResult result;
    std::memcpy(&result, pinned_results_.data() + i * sizeof result, sizeof result);
    op.draws[host.order[i]].token = result.token;
    op.draws[host.order[i]].logprob = result.logprob;
  }
}

}  // namespace mmprm::cuda
