// The addon's surface: everything it exports is listed here and declared in ts/engine/native.ts.
#include <napi.h>

#include "convert.h"
#include "engine/engine.h"
#include "engine_wrap.h"
#include "guard.h"
#include "image_wrap.h"
#include "inspect_wrap.h"
#include "picture_wrap.h"
#include "sampling_wrap.h"
#include "trainer_wrap.h"

namespace mmprm::addon {
namespace {

// setErrorClass(EngineError): native errors become instances of it.
Napi::Value set_error_class(const Napi::CallbackInfo& info) {
  if (!info[0].IsFunction()) throw Napi::TypeError::New(info.Env(), "an error class is expected");
  environment(info.Env()).error_class = Napi::Persistent(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

// probe() -> { isa, isas, threads }
Napi::Value probe(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const std::vector<std::string> names = supported_isa_names();
    Napi::Array isas = Napi::Array::New(info.Env(), names.size());
    for (uint32_t i = 0; i < names.size(); ++i) isas.Set(i, names[i]);
    Napi::Object out = Napi::Object::New(info.Env());
    out.Set("isa", names.back());
    out.Set("isas", isas);
    out.Set("threads", default_num_threads());
    return out;
  });
}

// listDevices(library) -> [{ kind, name, class, totalBytes, why }]; loads the library.
Napi::Value list_devices(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const std::vector<DeviceSummary> found = mmprm::list_devices(info[0].As<Napi::String>());
    Napi::Array devices = Napi::Array::New(info.Env(), found.size());
    for (uint32_t i = 0; i < found.size(); ++i) devices.Set(i, to_js(info.Env(), found[i]));
    return devices;
  });
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  auto* state = new Environment;
  env.SetInstanceData(state);
  state->engine_class = Napi::Persistent(EngineWrap::define(env));
  state->trainer_class = Napi::Persistent(TrainerWrap::define(env));
  state->picture_class = Napi::Persistent(PictureWrap::define(env));
  exports.Set("setErrorClass", Napi::Function::New(env, set_error_class));
  exports.Set("probe", Napi::Function::New(env, probe));
  exports.Set("listDevices", Napi::Function::New(env, list_devices));
  exports.Set("openEngine", Napi::Function::New(env, open_engine));
  exports.Set("sampleDistribution", Napi::Function::New(env, sample_distribution));
  exports.Set("philox4x32", Napi::Function::New(env, philox_block));
  exports.Set("inspectModel", Napi::Function::New(env, inspect_model));
  exports.Set("smartResize", Napi::Function::New(env, smart_resize));
  exports.Set("tileGrid", Napi::Function::New(env, tile_grid));
  exports.Set("cutPicture", Napi::Function::New(env, cut_picture));
  exports.Set("resizeImage", Napi::Function::New(env, resize_image));
  exports.Set("openTrainer", Napi::Function::New(env, open_trainer));
  exports.Set("initWeights", Napi::Function::New(env, init_weights));
  return exports;
}

}  // namespace

NODE_API_MODULE(mm_prm, init)

}  // namespace mmprm::addon
