#include "fields.h"

#include <algorithm>

namespace mmprm::addon {
namespace {

template <typename T, napi_typedarray_type kType>
std::vector<T> copy_typed(Napi::Value value, const char* key, const char* expected) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != kType)
    reject_field(key, expected);
  const Napi::TypedArrayOf<T> array = value.As<Napi::TypedArrayOf<T>>();
  return std::vector<T>(array.Data(), array.Data() + array.ElementLength());
}

template <typename T>
Napi::TypedArrayOf<T> copy_to_js(Napi::Env env, const std::vector<T>& values) {
  Napi::TypedArrayOf<T> array = Napi::TypedArrayOf<T>::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

}  // namespace

void reject_field(const std::string& key, const char* expected) {
  throw Error(ErrorCode::kInvalidArgument, key + " must be " + expected);
}

std::string get_string(Napi::Object object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsString()) reject_field(key, "a string");
  return value.As<Napi::String>().Utf8Value();
}

int32_t get_int(Napi::Object object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsNumber()) reject_field(key, "a number");
  return value.As<Napi::Number>().Int32Value();
}

float get_float(Napi::Object object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsNumber()) reject_field(key, "a number");
  return value.As<Napi::Number>().FloatValue();
}

uint64_t get_bytes(Napi::Object object, const char* key) {
  const Napi::Value value = object.Get(key);
  const double bytes = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(bytes >= 0 && bytes < 0x1p63)) reject_field(key, "a number of bytes");
  return static_cast<uint64_t>(bytes);
}

uint64_t get_uint64(Napi::Object object, const char* key) {
  const Napi::Value value = object.Get(key);
  bool lossless = false;
  if (!value.IsBigInt()) reject_field(key, "a bigint");
  const uint64_t bits = value.As<Napi::BigInt>().Uint64Value(&lossless);
  if (!lossless) reject_field(key, "a bigint below 2^64");
  return bits;
}

Napi::Array get_array(Napi::Object object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsArray()) reject_field(key, "an array");
  return value.As<Napi::Array>();
}

std::vector<float> copy_floats(Napi::Value value, const char* key) {
  return copy_typed<float, napi_float32_array>(value, key, "a Float32Array");
}

std::vector<int32_t> copy_ints(Napi::Value value, const char* key) {
  return copy_typed<int32_t, napi_int32_array>(value, key, "an Int32Array");
}

std::vector<uint32_t> copy_words(Napi::Value value, const char* key) {
  return copy_typed<uint32_t, napi_uint32_array>(value, key, "a Uint32Array");
}

Napi::Object object_of(Napi::Env env, std::initializer_list<std::pair<const char*, Napi::Value>> fields) {
  Napi::Object out = Napi::Object::New(env);
  for (const auto& [key, value] : fields) out.Set(key, value);
  return out;
}

Napi::Value number(Napi::Env env, double value) { return Napi::Number::New(env, value); }

Napi::Int32Array to_js(Napi::Env env, const std::vector<int32_t>& values) { return copy_to_js(env, values); }
Napi::Float32Array to_js(Napi::Env env, const std::vector<float>& values) { return copy_to_js(env, values); }

}  // namespace mmprm::addon
