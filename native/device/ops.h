// The ops of a device: plain structs of tensors and handles, results first. Sizes are those of the tensors.
//
// INVARIANT (every backend): a row of a result is one fixed sequence of operations on that
// row's inputs, whatever stands beside it. Bits are equal for equal rows on one class of
// devices, never promised between two.
#pragma once
#include "device/pages.h"
#include "device/tensor.h"

namespace mmprm {

// y = x·wᵀ + bias, packed as this device likes it; the bias lies inside. `gated`: w is all gate rows, then
// all up rows, N = 2F, and LinearOp writes F columns.
struct Linear {
  uint32_t id = 0;
  int32_t N = 0, K = 0;
  bool gated = false;
  uint64_t bytes = 0;  // on the device

  bool empty() const { return N == 0; }
  int32_t out_cols() const { return gated ? N / 2 : N; }
};

// Rows looked up by index: embeddings, rows of the head.
struct Table {
  uint32_t id = 0;
  int32_t rows = 0, cols = 0;

  bool empty() const { return rows == 0; }
};

// A plan on the device. Counts may be rounded up where steps are replayed; surplus rows are harmless.
struct Staged {
  uint32_t id = 0;
  int32_t rows = 0, outputs = 0, heads = 0, pairs = 0;
};

// Clears and copies what the plan's page_ops say, in all layers.
struct PreparePagesOp {
  Staged plan;
  Pages pages;
};

// x[t] = table[token], or image_rows[r] for token -1 - r. F32; x has the plan's rows.
struct EmbedOp {
  Tensor x;
  Staged plan;
  Table table;
  Tensor image_rows;  // empty: the plan has none
};

// x[i] += image_rows[r] where the row's token is -1 - r; other rows stay. F32; x has the plan's rows, or its outputs'.
struct AddImageRowsOp {
  Tensor x;
  Staged plan;
  Tensor image_rows;
  bool outputs_only = false;
};

// y = x · rsqrt(mean(x²) + eps) · weight; with a bias: (x - mean) · rsqrt(variance + eps) · weight + bias.
// x, weight, bias are F32; y may be x.
struct NormOp {
  Tensor y, x, weight, bias;
  float eps = 0;
};

// v = (x·wᵀ + bias) · column_scale
enum class Epilogue : uint8_t {
  kStore,       // y = v
  kAccumulate,  // y += v               y is F32: the residual stream
  kGelu,        // y = gelu(v), the exact erf form
  kGeluTanh,    // y = v/2 · (1 + tanh(√(2/π)·(v + 0.044715·v³)))
  kRelu,        // y = max(v, 0)
  kSwiglu,      // y = silu(gate) · up  for gated weights, and only for them
};

struct LinearOp {
  Tensor y, x;
  Linear w;
  Tensor column_scale;  // F32 [N]; empty: 1. Not with kSwiglu
  Epilogue epilogue = Epilogue::kStore;
};

// Splits rows q|k|v, norms every head of q and of k by its root mean square where there are weights for it,
// rotates q and k by the angles of the row's position, scales q, and writes k and v to the row's slots in layer
// `layer` of the pages:
//   (x_i, x_{i+D/2}) <- (x_i·cos - x_{i+D/2}·sin, x_{i+D/2}·cos + x_i·sin),  i < D/2
struct RopeOp {
  Tensor q;       // rows of H·D, dtype of the pages
  Tensor qkv;     // F32 rows of (H + 2G)·D; row i is row first_row + i of the plan
  Tensor angles;  // F32 [positions, D]: D/2 cosines, then D/2 sines; empty: nothing rotates
  Staged plan;
  Pages pages;
  int32_t first_row = 0, layer = 0, heads_H = 0;
  float q_scale = 1;      // after the rotation
  Tensor q_norm, k_norm;  // F32 [D]; empty: no norm
  float norm_eps = 0;
};

// o = softmax(q·Kᵀ)·V over each row's keys, H/G consecutive query heads on one key/value head. Keys are taken
// in chunks of kChunkTokens at absolute positions, merged from left to right. A window leaves a row the last `window`
// of its keys; chunks that it does not see are not read.
struct AttentionOp {
  Tensor o, q;  // rows of H·D, dtype of the pages
  Staged plan;
  Pages pages;
  int32_t layer = 0, heads_H = 0;
  bool outputs_only = false;  // o's rows are the plan's outputs; q has all rows
  int32_t window = 0;         // keys that a row sees, its own among them; 0: all
};
constexpr int kChunkTokens = 256;

// y[i] = x[list[i]]; y is not x.
enum class RowList : uint8_t { kOutputs, kHeadOutputs, kPairOutputs };
struct GatherOp {
  Tensor y, x;  // F32
  Staged plan;
  RowList list = RowList::kOutputs;
};

// y[i, j] = x[i] · head[ids[i][j]], added up in double. x: F32, a row for each of the plan's pair outputs.
struct PairOp {
  Tensor y;  // F32 [pairs, 2]
  Tensor x;
  Table head;
  Staged plan;
};

// y = x, rows of one dtype.
struct CopyOp {
  Tensor y, x;
};

// y[r] = x[r mod x.rows], F32: position embeddings under every tile.
struct RepeatOp {
  Tensor y, x;
};

// Cuts pictures into square patches, one row each: y[tile · side² + patch] = pixels in the order
// [channel][y][x]. pixels: F32 [tiles · channels · S, S], channel planes from top to bottom.
struct PatchesOp {
  Tensor y, pixels;
  int32_t channels = 3, patch_size = 0;
};

// Folds factor² neighbouring patches into one row (pixel shuffle):
//   y[R·(side/f) + Q, (dr·f + dq)·C + c] = x[skip + (f·R + dr)·side + f·Q + dq, c]   for every tile
// `transposed`: output rows are numbered column by column. x is F32.
struct FoldOp {
  Tensor y;  // [tiles · (side/f)², f²·C]
  Tensor x;  // [tiles · (skip + side²), C]
  int32_t side = 0, factor = 1, skip = 0;
  bool transposed = false;
};

}  // namespace mmprm
