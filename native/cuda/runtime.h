// The only door to the CUDA runtime: its own names, from its own header for nvcc, from the emulator (test/cuda) for a
// C++ compiler. What the emulator does not know does not compile there, so the list of calls in use is
// test/cuda/emulator/cuda_runtime.h.
#pragma once
#include "cuda/target.h"
#if MMPRM_EMULATED
#include <emulator/cuda_runtime.h>
#endif
