// Inside the emulator: what TMA does to an mbarrier.
#pragma once
#include "emulator/block.h"

namespace emu {
MBarrier& find_mbarrier(uint64_t* bar);
// Ends the phase where all have arrived and all announced bytes have come.
void complete_if_due(MBarrier& b);
}  // namespace emu
