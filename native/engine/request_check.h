// What a request must satisfy before any work is done for it. Throws kInvalidArgument.
#pragma once
#include "include/engine/engine.h"

namespace mmprm {

void check_forward(const ForwardRequest& request, const EngineInfo& info);
void check_image(const ImageTiles& image, const EngineInfo& info);

}  // namespace mmprm
