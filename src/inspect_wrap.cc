#include "inspect_wrap.h"

#include "convert.h"
#include "engine/inspect.h"
#include "fields.h"
#include "guard.h"

namespace mmprm::addon {
namespace {

Napi::Value text(Napi::Env env, const std::string& value) { return Napi::String::New(env, value); }

Napi::Value to_js(Napi::Env env, const StoredType& type) {
  return object_of(env, {{"dtype", text(env, type.dtype)},
                         {"tensors", number(env, double(type.tensors))},
                         {"parameters", number(env, double(type.parameters))}});
}

Napi::Value to_js(Napi::Env env, const StoredFile& file) {
  return object_of(env, {{"name", text(env, file.name)}, {"bytes", number(env, double(file.bytes))}});
}

template <typename Item>
Napi::Value list_of(Napi::Env env, const std::vector<Item>& items) {
  Napi::Array out = Napi::Array::New(env, items.size());
  for (uint32_t i = 0; i < items.size(); ++i) out.Set(i, to_js(env, items[i]));
  return out;
}

Napi::Value to_js(Napi::Env env, const ModelSummary& summary) {
  return object_of(env, {{"architecture", text(env, summary.architecture)},
                         {"family", text(env, summary.family)},
                         {"parameters", number(env, double(summary.parameters))},
                         {"tensors", number(env, double(summary.tensors))},
                         {"bytes", number(env, double(summary.bytes))},
                         {"tiedHead", Napi::Boolean::New(env, summary.tied_head)},
                         {"dtypes", list_of(env, summary.dtypes)},
                         {"files", list_of(env, summary.files)},
                         {"decoder", addon::to_js(env, summary.decoder)},
                         {"vision", summary.has_vision ? addon::to_js(env, summary.vision) : env.Null()}});
}

}  // namespace

Napi::Value inspect_model(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    if (!info[0].IsString()) reject_field("model", "the path of a folder");
    return to_js(info.Env(), mmprm::inspect_model(info[0].As<Napi::String>().Utf8Value()));
  });
}

}  // namespace mmprm::addon
