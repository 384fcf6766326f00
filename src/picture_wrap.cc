#include "picture_wrap.h"

#include "fields.h"
#include "guard.h"

namespace mmprm::addon {

Napi::Function PictureWrap::define(Napi::Env env) {
  return DefineClass(
      env, "NativePicture",
      {InstanceAccessor<&PictureWrap::num_tiles>("numTiles"), InstanceAccessor<&PictureWrap::width>("width"),
       InstanceAccessor<&PictureWrap::height>("height"),
       InstanceAccessor<&PictureWrap::num_bytes>("numBytes"),
       InstanceMethod<&PictureWrap::normalised>("normalised")});
}

Napi::Value PictureWrap::create(Napi::Env env, PicturePtr picture) {
  return environment(env).picture_class.New({Napi::External<PicturePtr>::New(env, &picture)});
}

PictureWrap::PictureWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PictureWrap>(info) {
  if (!info[0].IsExternal()) throw Napi::TypeError::New(info.Env(), "pictures are made by cutPicture");
  picture_ = *info[0].As<Napi::External<PicturePtr>>().Data();
  Napi::MemoryManagement::AdjustExternalMemory(info.Env(), int64_t(picture_->pixels.size()));
}

void PictureWrap::Finalize(Napi::Env env) {
  if (picture_) Napi::MemoryManagement::AdjustExternalMemory(env, -int64_t(picture_->pixels.size()));
}

Napi::Value PictureWrap::num_tiles(const Napi::CallbackInfo& info) {
  return number(info.Env(), picture_->num_tiles);
}

Napi::Value PictureWrap::width(const Napi::CallbackInfo& info) { return number(info.Env(), picture_->width); }

Napi::Value PictureWrap::height(const Napi::CallbackInfo& info) {
  return number(info.Env(), picture_->height);
}

Napi::Value PictureWrap::num_bytes(const Napi::CallbackInfo& info) {
  return number(info.Env(), double(picture_->pixels.size()));
}

Napi::Value PictureWrap::normalised(const Napi::CallbackInfo& info) {
  Napi::Float32Array out = Napi::Float32Array::New(info.Env(), picture_->pixels.size());
  normalise_tiles(*picture_, 0, picture_->num_tiles, out.Data());
  return out;
}

PicturePtr to_picture(Napi::Value value, const char* field) {
  constexpr char kExpected[] = "pictures made by cutPicture";
  if (!value.IsObject()) reject_field(field, kExpected);
  const Napi::Object object = value.As<Napi::Object>();
  if (!object.InstanceOf(environment(value.Env()).picture_class.Value())) reject_field(field, kExpected);
  return PictureWrap::Unwrap(object)->picture();
}

}  // namespace mmprm::addon
