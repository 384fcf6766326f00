#include "image_wrap.h"

#include <algorithm>
#include <string>

#include "engine/image.h"
#include "fields.h"
#include "guard.h"
#include "picture_wrap.h"

namespace mmprm::addon {
namespace {

Napi::Value to_js(Napi::Env env, const std::vector<uint8_t>& bytes) {
  Napi::Uint8Array array = Napi::Uint8Array::New(env, bytes.size());
  std::copy(bytes.begin(), bytes.end(), array.Data());
  return array;
}

Napi::Value to_js(Napi::Env env, const PicturePtr& picture) { return PictureWrap::create(env, picture); }

// One pure function of pixels, and the promise of its result. Deletes itself.
template <typename Result>
class PixelWorker : public Napi::AsyncWorker {
 public:
  PixelWorker(Napi::Env env, Napi::Uint8Array input, std::function<Result()> work)
      : Napi::AsyncWorker(env), deferred_(env), input_(Napi::Persistent(input)), work_(std::move(work)) {}

  Napi::Promise start() {
    const Napi::Promise promise = deferred_.Promise();
    Queue();
    return promise;
  }

 private:
  void Execute() override {
    try {
      result_ = work_();
    } catch (...) {
      error_ = std::current_exception();
    }
  }
  void OnOK() override {
    try {
      settle();
    } catch (...) {
      // Nobody is left to tell: rejecting fails only while the environment is being torn down.
    }
  }
  void settle() {
    try {
      if (!error_) return deferred_.Resolve(to_js(Env(), result_));
    } catch (...) {
      error_ = std::current_exception();
    }
    deferred_.Reject(to_js_error(Env(), error_));
  }

  Napi::Promise::Deferred deferred_;
  Napi::Reference<Napi::Uint8Array> input_;  // keeps the pixels alive
  std::function<Result()> work_;
  Result result_;
  std::exception_ptr error_;
};

[[noreturn]] void reject(const std::string& what) { throw Error(ErrorCode::kInvalidArgument, what); }

int integer_argument(Napi::Value value, const char* name) {
  if (!value.IsNumber()) reject(std::string(name) + " must be a number");
  return value.As<Napi::Number>().Int32Value();
}

Napi::Uint8Array bytes_argument(Napi::Value value, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    reject(std::string(name) + " must be a Uint8Array");
  }
  return value.As<Napi::Uint8Array>();
}

// Arguments (rgb, width, height).
RgbView image_argument(const Napi::CallbackInfo& info) {
  const Napi::Uint8Array rgb = bytes_argument(info[0], "rgb");
  const RgbView image{rgb.Data(), integer_argument(info[1], "width"), integer_argument(info[2], "height")};
  if (image.width < 1 || image.height < 1) reject("width and height must be at least 1");
  const size_t expected = size_t(image.width) * size_t(image.height) * 3;
  if (rgb.ElementLength() != expected) {
    reject("rgb has " + std::to_string(rgb.ElementLength()) + " bytes; " + std::to_string(image.width) +
           " x " + std::to_string(image.height) + " pixels need " + std::to_string(expected));
  }
  return image;
}

void read_channels(Napi::Object object, const char* key, std::array<float, 3>& out) {
  const Napi::Value value = object.Get(key);
  if (!value.IsArray() || value.As<Napi::Array>().Length() != 3)
    reject(std::string(key) + " must hold 3 numbers");
  for (uint32_t c = 0; c < 3; ++c) out[c] = value.As<Napi::Array>().Get(c).ToNumber().FloatValue();
}

TileOptions tile_options_argument(Napi::Value value) {
  if (!value.IsObject()) reject("tile options must be an object");
  const Napi::Object object = value.As<Napi::Object>();
  TileOptions options;
  options.image_size = get_int(object, "imageSize");
  options.min_tiles = get_int(object, "minTiles");
  options.max_tiles = get_int(object, "maxTiles");
  options.use_thumbnail = object.Get("useThumbnail").ToBoolean();
  read_channels(object, "mean", options.mean);
  read_channels(object, "std", options.std);
  return options;
}

bool keeps_shape(Napi::Value value) { return value.IsObject() && value.As<Napi::Object>().Has("factor"); }

WholeOptions whole_options_argument(Napi::Value value) {
  if (!keeps_shape(value)) reject("options must be an object with a factor");
  const Napi::Object object = value.As<Napi::Object>();
  WholeOptions options;
  options.factor = get_int(object, "factor");
  options.min_pixels = get_int(object, "minPixels");
  options.max_pixels = get_int(object, "maxPixels");
  read_channels(object, "mean", options.mean);
  read_channels(object, "std", options.std);
  return options;
}

template <typename Result>
Napi::Value start(const Napi::CallbackInfo& info, std::function<Result()> work) {
  return (new PixelWorker<Result>(info.Env(), info[0].As<Napi::Uint8Array>(), std::move(work)))->start();
}

}  // namespace

Napi::Value tile_grid(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const TileGrid grid =
        choose_tile_grid(integer_argument(info[0], "width"), integer_argument(info[1], "height"),
                         tile_options_argument(info[2]));
    Napi::Array out = Napi::Array::New(info.Env(), 2);
    out.Set(0u, grid.columns);
    out.Set(1u, grid.rows);
    return out;
  });
}

Napi::Value smart_resize(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const PictureSize size =
        mmprm::smart_resize(integer_argument(info[0], "width"), integer_argument(info[1], "height"),
                            whole_options_argument(info[2]));
    Napi::Array out = Napi::Array::New(info.Env(), 2);
    out.Set(0u, size.width);
    out.Set(1u, size.height);
    return out;
  });
}

Napi::Value cut_picture(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const RgbView image = image_argument(info);
    if (keeps_shape(info[3])) {
      const WholeOptions options = whole_options_argument(info[3]);
      return start<PicturePtr>(
          info, [image, options] { return std::make_shared<const Picture>(resize_whole(image, options)); });
    }
    const TileOptions options = tile_options_argument(info[3]);
    return start<PicturePtr>(
        info, [image, options] { return std::make_shared<const Picture>(cut_tiles(image, options)); });
  });
}

Napi::Value resize_image(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const RgbView image = image_argument(info);
    const int width = integer_argument(info[3], "toWidth"), height = integer_argument(info[4], "toHeight");
    return start<std::vector<uint8_t>>(info, [=] { return resize_bicubic(image, width, height); });
  });
}

}  // namespace mmprm::addon
