// What a request must satisfy before any work is done for it. Throws kInvalidArgument.
#pragma once
#include "include/engine/engine.h"

namespace mmprm {

void check_forward(const ForwardRequest& request, const EngineInfo& info);
// num_pages: of the engine, see Scheduler::max_samples().
void check_generate(const GenerateRequest& request, const EngineInfo& info, int num_pages);
void check_image(const Picture* image, const EngineInfo& info);

}  // namespace mmprm
