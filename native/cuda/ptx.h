// The only door from CUDA C++ to PTX and to launches: kernels hold no asm, no <<<>>> and no extern __shared__.
//
// Every function has two bodies: the instruction for nvcc, the emulator's (test/cuda) for a C++ compiler. So the
// very same .cu file runs on a card and, instruction by instruction, on a machine without one.
#pragma once
#include "cuda/launch.h"
#include "cuda/ptx_sm80.h"
#include "cuda/ptx_sm90.h"
#include "cuda/ptx_wgmma.h"
