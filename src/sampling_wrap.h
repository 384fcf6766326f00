// Sampling as plain functions of a row of logits, and the generator behind it: for tests and inspection.
#pragma once
#include <napi.h>

#include "engine/sampling.h"

namespace mmprm::addon {

SamplingParams to_sampling_params(Napi::Object object);

// sampleDistribution({ logits, promptIds, generatedIds, sampling, seed, numDraws }) -> { tokens,
// probabilities, draws }: draw i is that of sample 0 at position i.
Napi::Value sample_distribution(const Napi::CallbackInfo& info);

// philox4x32(counter, key) -> Uint32Array of 4 words
Napi::Value philox_block(const Napi::CallbackInfo& info);

}  // namespace mmprm::addon
