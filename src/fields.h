// Fields of JavaScript objects as plain values. What does not fit is
// ERR_ENGINE_INVALID_ARGUMENT naming the key.
#pragma once
#include <napi.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/error.h"

namespace mmprm::addon {

[[noreturn]] void reject_field(const std::string& key, const char* expected);

std::string get_string(Napi::Object object, const char* key);
int32_t get_int(Napi::Object object, const char* key);
float get_float(Napi::Object object, const char* key);
uint64_t get_bytes(Napi::Object object, const char* key);   // a number, not negative
uint64_t get_uint64(Napi::Object object, const char* key);  // a bigint
Napi::Array get_array(Napi::Object object, const char* key);
std::vector<float> copy_floats(Napi::Value value, const char* key);
std::vector<int32_t> copy_ints(Napi::Value value, const char* key);
std::vector<uint32_t> copy_words(Napi::Value value, const char* key);

Napi::Object object_of(Napi::Env env, std::initializer_list<std::pair<const char*, Napi::Value>> fields);
Napi::Value number(Napi::Env env, double value);
Napi::Int32Array to_js(Napi::Env env, const std::vector<int32_t>& values);
Napi::Float32Array to_js(Napi::Env env, const std::vector<float>& values);

}  // namespace mmprm::addon
