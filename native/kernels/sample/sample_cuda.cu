#include "cuda/launch.h"
#include "cuda/plan.h"
#include "kernels/sample/sample_cuda.h"
#include "kernels/sample/sample_select.cuh"

namespace mmprm::cuda {
namespace {

constexpr uint32_t kInfinite = 0xff800000u,
                   kStrange = 0xffffffffu;  // keys: of +inf, of what must not be there

// What stays of a distribution, as far as its filters are known. What is out weighs nothing.
struct Filters {
  float largest = 0;      // logit
  uint32_t key_from = 1;  // top-k: of logits
  float weight_from = 0;  // min-p
  float share_from = 0;   // top-p: weights above stay, and equal ones before this element
  int equals_end = 0;

  __device__ float weight(float logit, int i) const {
    if (key_of(logit) < key_from) return 0;
    const float w = exp_nonpositive(logit - largest);
    return w < weight_from || w < share_from || (w == share_from && i >= equals_end) ? 0 : w;
  }
};

// The largest key of this thread's logits; kStrange where one is no finite number.
__device__ inline uint32_t largest_given(const float* row, int V) {
  uint32_t largest = 0;
  for_mine(V, [&](int i) {
    const float l = row[i];
    const bool finite = (__float_as_uint(l) & 0x7f800000u) != 0x7f800000u;
    largest = max(largest, finite ? key_of(l) : kStrange);
  });
  return largest;
}
__device__ inline uint32_t largest_penalised(const float* row, int V) {
  uint32_t largest = 0;
  for_mine(V, [&](int i) { largest = max(largest, key_of(row[i])); });
  return largest;
}

// What log-probabilities want of the logits as given.
__device__ void sum_given(const float* row, int V, float largest, SampleShared& shared) {
  uint64_t mine = 0;
  for_mine(V, [&](int i) { mine += to_fixed(exp_nonpositive(row[i] - largest)); });
  const uint64_t sum = sum_over_block(mine, shared);
  if (threadIdx.x == 0) shared.given_sum = sum, shared.given_largest = largest;
}

// Sets aside what it changes.
__device__ void penalise(float* row, const SampleLists& in, const SampleShape& shape) {
  for (int j = threadIdx.x; j < shape.num_repeated; j += blockDim.x) {
    const int at = shape.first_repeated + j, token = in.repeated[at];
    const float l = row[token], r = shape.repetition_penalty;
    in.saved_repeated[at] = l;
    row[token] = l < 0 ? l * r : l / r;
  }
  __syncthreads();
  for (int j = threadIdx.x; j < shape.num_generated; j += blockDim.x) {
    const int at = shape.first_generated + j;
    const TokenCount seen = in.generated[at];
    float l = row[seen.token];
    in.saved_generated[at] = l;
    l -= shape.frequency_penalty * float(seen.times);
    row[seen.token] = l - shape.presence_penalty;
  }
  __syncthreads();
}
__device__ void restore(float* row, const SampleLists& in, const SampleShape& shape) {
  __syncthreads();
  for (int j = threadIdx.x; j < shape.num_generated; j += blockDim.x) {
    const int at = shape.first_generated + j;
    row[in.generated[at].token] = in.saved_generated[at];
  }
  __syncthreads();
  for (int j = threadIdx.x; j < shape.num_repeated; j += blockDim.x) {
    const int at = shape.first_repeated + j;
    row[in.repeated[at]] = in.saved_repeated[at];
  }
  __syncthreads();
}

// TRICK: the k-th largest of the threads' maxima is a value that at least k logits reach, and few more: what lies below
// goes at once. `maximum`: this thread's largest logit.
__device__ void keep_top_k(Elements& left, int k, float maximum, const SampleList& list, SampleShared& shared,
                           Filters& filters) {
  shared.maxima[threadIdx.x] = maximum;
  __syncthreads();
  const bool trims = left.count > list.capacity && k <= int(blockDim.x);
#pragma unroll 1
  for (int round = trims ? 0 : 1; round < 2; ++round) {
    const Elements of = round == 0 ? Elements{shared.maxima, nullptr, int(blockDim.x), 1} : left;
    const auto element = [&](int i) { return KeyMass<uint32_t>{key_of(of.at(i)), 1}; };
    const uint32_t reached = largest_reaching<uint32_t>(
        of, shared, element, [&](uint32_t) { return uint32_t(k); }, [](uint32_t, int) {});
    filters.key_from = max(reached, 1u);
    if (round == 0)
      move_to_list(left, list, shared, [&](int i) { return key_of(left.at(i)) >= filters.key_from; });
  }
}

// Weights lie in [0, 1]: their bits, moved up by two, are keys.
__device__ void keep_top_p(Elements& left, uint64_t dropped_parts, const SampleList& list,
                           SampleShared& shared, Filters& filters) {
  const auto element = [&](int i) {
    const float w = filters.weight(left.at(i), i);
    return KeyMass<uint64_t>{__float_as_uint(w) << 2, to_fixed(w)};
  };
  uint64_t need = 0;
  const auto need_of = [&](uint64_t total) {
    need = total - share_of_parts(total, dropped_parts);
    return need = need > 0 ? need : 1;  // one stays
  };
  // Four digits of the answer leave out most of a vocabulary; the first of them leaves out nothing.
  const auto trim = [&](uint32_t found, int shift) {
    if (left.count <= list.capacity || shift == 32 - kDigitBits || shift < 32 - 4 * kDigitBits) return;
    move_to_list(left, list, shared, [&](int i) { return element(i).key >= max(found, 1u); });
  };
  const uint32_t key = largest_reaching<uint64_t>(left, shared, element, need_of, trim);
  uint64_t sum_above = 0;
  for_mine(left.count, [&](int i) {
    const KeyMass<uint64_t> e = element(i);
    if (e.key > key) sum_above += e.mass;
  });
  // Of equal weights those of lower tokens stay, as many as the sum wants.
  const uint64_t above = sum_over_block(sum_above, shared), each = to_fixed(__uint_as_float(key >> 2));
  const auto last_kept = uint32_t((need - above + each - 1) / each - 1);
  const auto is_equal = [&](int i) { return uint32_t(element(i).key == key); };
  const Cumulated<uint32_t> equals = cumulate<uint32_t>(left.count, shared, is_equal);
  find_place(equals, left.count, last_kept, is_equal, [&](int i) { shared.place = i; });
  __syncthreads();
  filters.share_from = __uint_as_float(key >> 2);
  filters.equals_end = shared.place + 1;
}

// The first of the largest.
__device__ int32_t choose_greedily(const Elements& left, uint32_t maximum, uint32_t largest,
                                   SampleShared& shared) {
  int first = left.count;
  if (maximum == largest) {
    for_mine(left.count, [&](int i) {
      if (i < first && key_of(left.at(i)) == largest) first = i;
    });
  }
  return int32_t(~max_over_block(~uint32_t(first), shared));
}

// Writes the tokens of a shape's draws; false where nothing can be chosen. `maximum`: the key of this thread's largest
// logit, `largest`: of the block's.
__device__ bool choose(Elements left, const SampleLists& in, const SampleShape& shape, uint32_t maximum,
                       uint32_t largest, const SampleList& list, SampleShared& shared) {
  if (largest == 0 || largest >= kInfinite) return false;
  if (shape.greedy) {
    const int32_t token = choose_greedily(left, maximum, largest, shared);
    for (int d = threadIdx.x; d < shape.num_draws; d += blockDim.x)
      in.results[shape.first_draw + d].token = token;
    return true;
  }
  left.temperature = shape.temperature;
  const auto scaled = [&](uint32_t key) {
    return key == 0 || left.temperature == 1 ? key : key_of(value_of(key) / left.temperature);
  };
  largest = scaled(largest);
  if (largest == 0 || largest >= kInfinite) return false;
  Filters filters;
  filters.largest = value_of(largest);
  if (shape.top_k > 0) keep_top_k(left, shape.top_k, value_of(scaled(maximum)), list, shared, filters);
  if (shape.min_p_first) filters.weight_from = shape.min_p;
  if (shape.dropped_parts > 0) keep_top_p(left, shape.dropped_parts, list, shared, filters);
  filters.weight_from = shape.min_p;
  const auto mass = [&](int i) { return to_fixed(filters.weight(left.at(i), i)); };
  const Cumulated<uint64_t> c = cumulate<uint64_t>(left.count, shared, mass);
  for (int d = shape.first_draw; d < shape.first_draw + shape.num_draws; ++d) {
    find_place(c, left.count, share_of_parts(c.total, in.uniform_parts[d]), mass,
               [&](int i) { in.results[d].token = left.token(i); });
  }
  return true;
}

__global__ void __launch_bounds__(kSampleThreads)
    sample_rows(SampleLists in, float* logits, int64_t stride, int V, int list_capacity) {
  SampleShared& shared = *dynamic_shared<SampleShared>();
  float* listed = reinterpret_cast<float*>(&shared + 1);
  const SampleList list{listed, reinterpret_cast<int32_t*>(listed + list_capacity), list_capacity};
  const SampleShape& shape = in.shapes[blockIdx.x];
  float* row = logits + shape.logits_row * stride;

  uint32_t maximum = largest_given(row, V), largest = max_over_block(maximum, shared);
  bool chosen = largest != kStrange;
  if (chosen && shape.want_logprob) sum_given(row, V, value_of(largest), shared);
  if (chosen) {
    const bool penalised = shape.num_repeated + shape.num_generated > 0;
    if (penalised) {
      penalise(row, in, shape);
      maximum = largest_penalised(row, V), largest = max_over_block(maximum, shared);
    }
    chosen = choose({row, nullptr, V, 1}, in, shape, maximum, largest, list, shared);
    if (penalised) restore(row, in, shape);
  }
  __syncthreads();
  for (int d = threadIdx.x; d < shape.num_draws; d += blockDim.x) {
    SampleResult& result = in.results[shape.first_draw + d];
    if (!chosen) result.token = -1;
    result.logprob = 0;
    if (chosen && shape.want_logprob)
      result.logprob = log_probability(row[result.token] + 0.0f, shared.given_largest, shared.given_sum);
  }
}

}  // namespace

SampleShape sample_shape(const Draw& draw) {
  const SamplingParams& p = draw.params;
  SampleShape shape;
  shape.logits_row = draw.logits_row;
  shape.num_repeated = p.repetition_penalty != 1 ? draw.num_repeated : 0;
  shape.num_generated = p.frequency_penalty != 0 || p.presence_penalty != 0 ? draw.num_generated : 0;
  shape.top_k = p.top_k;
  shape.temperature = p.temperature, shape.min_p = p.min_p;
  shape.repetition_penalty = p.repetition_penalty;
  shape.frequency_penalty = p.frequency_penalty, shape.presence_penalty = p.presence_penalty;
  shape.greedy = p.temperature < kGreedyBelow;
  shape.min_p_first = p.order == SamplingOrder::kVllm;
  shape.want_logprob = draw.want_logprob;
  shape.dropped_parts = p.top_p < 1 ? share_parts(1.0 - double(p.top_p)) : 0;
  return shape;
}

SampleConfig sample_config(int V) {
  const int threads = (V / 16 + 31) / 32 * 32;
  return {threads < 32 ? 32 : threads > kSampleThreads ? kSampleThreads : threads, 4096};
}

size_t sample_shared_bytes(const SampleConfig& config) {
  return sizeof(SampleShared) + size_t(config.list_capacity) * (sizeof(float) + sizeof(int32_t));
}

cudaError_t sample(const Tensor& logits, const SampleLists& lists, int first, int count,
                   const SampleConfig& config, cudaStream_t stream) {
  if (count == 0) return cudaSuccess;
  SampleLists in = lists;
  in.shapes += first;
  return launch(sample_rows, dim3(count), dim3(config.threads), sample_shared_bytes(config), stream, in,
                data_of<float>(logits), logits.stride, logits.cols, config.list_capacity);
}

}  // namespace mmprm::cuda
