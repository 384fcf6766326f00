#include "kernels/gemm/gemm_chain.cuh"
#include "kernels/gemm/gemm_cuda.h"
#include "kernels/gemm/gemm_sm80.cuh"
#include "kernels/gemm/gemm_sm90.cuh"

namespace mmprm::cuda {
namespace {

constexpr int divide_up(int a, int b) { return (a + b - 1) / b; }

struct Launch {
  const GemmProblem& problem;
  int multiprocessors;
  cudaStream_t stream;
};

cudaError_t run_chain(const Launch& l) {
  const GemmProblem& p = l.problem;
  const ChainIn in{static_cast<const float*>(p.w),
                   static_cast<const float*>(p.x),
                   p.w_stride,
                   p.x_stride,
                   p.N,
                   p.K,
                   p.rows};
  const dim3 grid(divide_up(p.N, ChainShape::kFeatures), divide_up(p.rows, ChainShape::kTokens));
  return launch(gemm_chain, grid, dim3(ChainShape::kThreads), sizeof(ChainShape::Tile), l.stream, in,
                GemmOut(p));
}

template <typename Shape>
cudaError_t run_mma(const Launch& l) {
  const GemmProblem& p = l.problem;
  const GemmIn in{
      static_cast<const bf16*>(p.w), static_cast<const bf16*>(p.x), p.w_stride, p.x_stride, p.N, p.K, p.rows};
  const int tiles = divide_up(p.N, Shape::kFeatures) * divide_up(p.rows, Shape::kTokens);
  const cudaError_t allowed = allow_shared(gemm_mma<Shape>, sizeof(typename Shape::Tile));
  if (allowed != cudaSuccess) return allowed;
  return launch(gemm_mma<Shape>, dim3(tiles), dim3(Shape::kThreads), sizeof(typename Shape::Tile), l.stream,
                in, GemmOut(p));
}

// What gemm_wgmma and gemm_narrow share: maps of both operands and a grid that stays.
template <typename Shape, typename Kernel>
cudaError_t run_sm90(Kernel kernel, const Launch& l, int blocks_per_multiprocessor) {
  const GemmProblem& p = l.problem;
  TensorMap map_w, map_x;
  const auto shape = [&](int64_t stride, int rows, int box_rows) {
    return TileShape{TileElement::kBF16, uint64_t(p.K), uint64_t(rows), uint64_t(stride) * 2, 64,
                     uint32_t(box_rows), true};
  };
  cudaError_t e = make_tensor_map(&map_w, p.w, shape(p.w_stride, p.N, Shape::kFeatures));
  if (e == cudaSuccess) e = make_tensor_map(&map_x, p.x, shape(p.x_stride, p.rows, Shape::kTokens));
  const cudaError_t allowed = allow_shared(kernel, sizeof(typename Shape::Tile));
  if (e == cudaSuccess) e = allowed;
  if (e != cudaSuccess) return e;
  const TileGrid grid{divide_up(p.N, Shape::kFeatures), divide_up(p.rows, Shape::kTokens),
                      divide_up(p.K, Shape::kDepth)};
  const int tiles = grid.features * grid.tokens, most = l.multiprocessors * blocks_per_multiprocessor;
  return launch(kernel, dim3(tiles < most ? tiles : most), dim3(Shape::kThreads),
                sizeof(typename Shape::Tile), l.stream, map_w, map_x, grid, GemmOut(p));
}

// A kernel for each epilogue: see finish_warp. Tiles of few tokens have one for all: little follows the question there.
template <int kTokens>
cudaError_t run_wgmma(const Launch& l) {
  using Shape = WgmmaShape<kTokens>;
  if constexpr (kTokens <= 64) {
    return run_sm90<Shape>(gemm_wgmma<Shape>, l, 1);
  } else {
    return with_epilogue(l.problem.epilogue, [&]<Epilogue kEpilogue>() {
      return run_sm90<Shape>(gemm_wgmma<Shape, kEpilogue>, l, 1);
    });
  }
}

template <int kTokens>
cudaError_t run_narrow(const Launch& l) {
  return run_sm90<NarrowShape<kTokens>>(gemm_narrow<NarrowShape<kTokens>>, l, kTokens == 64 ? 1 : 2);
}

struct Entry {
  GemmConfig config;
  cudaError_t (*run)(const Launch&);
};

constexpr Entry kEntries[] = {
    {{GemmKind::kChain, 64, 32}, run_chain},
    {{GemmKind::kMma, 32, 16}, run_mma<MmaShape<32, 16, 2, 2, 6>>},
    {{GemmKind::kMma, 32, 32}, run_mma<MmaShape<32, 32, 2, 2, 6>>},
    {{GemmKind::kMma, 32, 64}, run_mma<MmaShape<32, 64, 2, 2, 6>>},
    {{GemmKind::kMma, 128, 64}, run_mma<MmaShape<128, 64, 4, 2, 4>>},
    {{GemmKind::kMma, 128, 128}, run_mma<MmaShape<128, 128, 2, 4, 4>>},
    {{GemmKind::kNarrow, 32, 8}, run_narrow<8>},
    {{GemmKind::kNarrow, 32, 16}, run_narrow<16>},
    {{GemmKind::kNarrow, 32, 32}, run_narrow<32>},
    {{GemmKind::kNarrow, 32, 64}, run_narrow<64>},
    {{GemmKind::kWgmma, 128, 8}, run_wgmma<8>},
    {{GemmKind::kWgmma, 128, 16}, run_wgmma<16>},
    {{GemmKind::kWgmma, 128, 32}, run_wgmma<32>},
    {{GemmKind::kWgmma, 128, 64}, run_wgmma<64>},
    {{GemmKind::kWgmma, 128, 96}, run_wgmma<96>},
    {{GemmKind::kWgmma, 128, 128}, run_wgmma<128>},
    {{GemmKind::kWgmma, 128, 192}, run_wgmma<192>},
    {{GemmKind::kWgmma, 128, 256}, run_wgmma<256>},
};

constexpr GemmConfig kChain{GemmKind::kChain, 64, 32};
constexpr int kMultiprocessors =
    132;  // of an H100; a fixed number, so that a configuration never depends on the card

// What a wave of tiles takes, in microseconds on an NVIDIA H200 at K = 4096.
struct WaveCost {
  int tokens, cost;
};
constexpr WaveCost kWaveCosts[] = {{256, 52}, {128, 27}, {192, 44}, {96, 25}, {64, 20}};

// The token tile whose waves cost least.
GemmConfig widest_wgmma(int N, int rows) {
  GemmConfig best;
  int least = 0;
  for (const WaveCost& wave : kWaveCosts) {
    const int tiles = divide_up(N, 128) * divide_up(rows, wave.tokens);
    const int cost = divide_up(tiles, kMultiprocessors) * wave.cost;
    if (best.tokens == 0 || cost < least) best = {GemmKind::kWgmma, 128, wave.tokens}, least = cost;
  }
  return best;
}

}  // namespace

GemmConfig gemm_config(ChipClass chip, int N, int, DType dtype, int rows) {
  if (dtype == DType::kF32) return kChain;
  if (chip == ChipClass::kSm90) {
    if (rows > 64) return widest_wgmma(N, rows);
    // 128 features give few matrices enough tiles; where 32 still fit into one wave they are faster.
    const int tokens = rows <= 8 ? 8 : rows <= 16 ? 16 : rows <= 32 ? 32 : 64;
    if (divide_up(N, 32) <= kMultiprocessors) return {GemmKind::kNarrow, 32, tokens};
    return {GemmKind::kWgmma, 128, tokens < 16 ? 16 : tokens};
  }
  if (rows <= 64) return {GemmKind::kMma, 32, rows <= 16 ? 16 : rows <= 32 ? 32 : 64};
  return {GemmKind::kMma, 128, divide_up(N, 128) * divide_up(rows, 128) < 108 ? 64 : 128};
}

std::string describe(const GemmConfig& config) {
  constexpr const char* kNames[] = {"chain", "mma", "narrow", "wgmma"};
  return std::string(kNames[int(config.kind)]) + " " + std::to_string(config.features) + "x" +
         std::to_string(config.tokens);
}

std::vector<GemmConfig> gemm_configs(ChipClass chip, DType dtype) {
  if (dtype == DType::kF32) return {kChain};
  std::vector<GemmConfig> configs;
  for (const Entry& e : kEntries) {
    if (e.config.kind == GemmKind::kMma || (chip == ChipClass::kSm90 && e.config.kind != GemmKind::kChain)) {
      configs.push_back(e.config);
    }
  }
  return configs;
}

cudaError_t gemm(const GemmProblem& problem, const GemmConfig& config, int multiprocessors,
                 cudaStream_t stream) {
  for (const Entry& e : kEntries) {
    if (e.config == config) return e.run({problem, multiprocessors, stream});
  }
  return cudaErrorInvalidValue;
}

}  // namespace mmprm::cuda
