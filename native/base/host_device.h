// Functions that a graphics card runs as well: nvcc compiles them for both sides, other compilers for theirs.
#pragma once
#if defined(__CUDACC__)
#define MMPRM_HOST_DEVICE __host__ __device__
#else
#define MMPRM_HOST_DEVICE
#endif
