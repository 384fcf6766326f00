#include "random_decoder.h"

#include <cstdio>

#include "include/engine/error.h"

namespace mmprm {

// InternLM2.5-7B as InternVL2.5-8B holds it; and one that an emulator gets through.
DecoderSpec decoder_spec(const std::string& shape) {
  DecoderSpec s;
  const bool tiny = shape == "tiny";
  if (!tiny && shape != "8b")
    throw Error(ErrorCode::kInvalidArgument, "shape \"" + shape + "\"; known: 8b, tiny");
  s.hidden_C = tiny ? 64 : 4096;
  s.intermediate_F = tiny ? 128 : 14336;
  s.layers_L = tiny ? 2 : 32;
  s.heads_H = tiny ? 4 : 32;
  s.kv_heads_G = tiny ? 2 : 8;
  s.head_dim_D = tiny ? 16 : 128;
  s.embed_rows = s.vocab_V = tiny ? 96 : 92553;
  s.rms_eps = 1e-5f;
  s.rope.theta = 1e6;
  s.max_positions = 32768;
  return s;
}

PackedDecoder random_decoder(Device& device, const DecoderSpec& s, RandomRows& random) {
  uint64_t bytes = 0;
  const auto norm = [&] {
    const Tensor weight = device.allocate(1, s.hidden_C, DType::kF32);
    device.write(weight, std::vector<float>(size_t(s.hidden_C), 1.0f).data());
    return NormWeights{weight, {}, s.rms_eps};
  };
  const auto linear = [&](int N, int K, bool gated = false) {
    const Linear packed = device.pack(random.rows(N, K), K, DType::kBF16, {}, gated);
    bytes += packed.bytes;
    return packed;
  };
  const int C = s.hidden_C, D = s.head_dim_D;
  PackedDecoder model;
  model.spec = s;
  for (int l = 0; l < s.layers_L; ++l) {
    model.layers.push_back({norm(),
                            norm(),
                            {},
                            {},
                            linear((s.heads_H + 2 * s.kv_heads_G) * D, C),
                            linear(C, s.heads_H * D),
                            linear(2 * s.intermediate_F, C, true),
                            linear(C, s.intermediate_F)});
  }
  model.embed = device.table(random.rows(s.embed_rows, C), C);
  model.head_rows = device.table(random.rows(s.vocab_V, C), C);
  model.final_norm = norm();
  model.head = linear(s.vocab_V, C);
  std::printf("weights: %.2f GB packed\n", double(bytes) * 1e-9);
  return model;
}

}  // namespace mmprm
