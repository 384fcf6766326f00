// The JavaScript face of a picture: cut once from decoded pixels, then named by requests as often as they like.
#pragma once
#include <napi.h>

#include "engine/picture.h"

namespace mmprm::addon {

class PictureWrap : public Napi::ObjectWrap<PictureWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  static Napi::Value create(Napi::Env env, PicturePtr picture);
  explicit PictureWrap(const Napi::CallbackInfo& info);
  void Finalize(Napi::Env env) override;

  const PicturePtr& picture() const { return picture_; }

 private:
  Napi::Value num_tiles(const Napi::CallbackInfo& info);
  Napi::Value width(const Napi::CallbackInfo& info);  // of a tile
  Napi::Value height(const Napi::CallbackInfo& info);
  Napi::Value num_bytes(const Napi::CallbackInfo& info);
  Napi::Value normalised(const Napi::CallbackInfo& info);  // -> Float32Array [tiles, 3, height, width]

  PicturePtr picture_;
};

// Throws kInvalidArgument naming `field` where the value is no picture.
PicturePtr to_picture(Napi::Value value, const char* field);

}  // namespace mmprm::addon
