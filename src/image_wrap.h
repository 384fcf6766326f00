// Image work for JavaScript. Everything that touches pixels runs on a thread of Node's pool and gives a
// promise; the buffers that are handed in must not change until it settles.
#pragma once
#include <napi.h>

namespace mmprm::addon {

// (width, height, tileOptions) -> [columns, rows]
Napi::Value tile_grid(const Napi::CallbackInfo& info);
// (width, height, wholeOptions) -> [width, height]
Napi::Value smart_resize(const Napi::CallbackInfo& info);
// (rgb, width, height, tileOptions or wholeOptions) -> promise of a NativePicture
Napi::Value cut_picture(const Napi::CallbackInfo& info);
// (rgb, width, height, toWidth, toHeight) -> promise of a Uint8Array
Napi::Value resize_image(const Napi::CallbackInfo& info);

}  // namespace mmprm::addon
