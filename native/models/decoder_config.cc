// The part of a decoder's config that all families write alike.
#include <algorithm>
#include <cmath>

#include "base/fixed_point.h"
#include "device/pages.h"
#include "models/family.h"

namespace mmprm {
namespace {

bool same_value(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) return a.as_double() == b.as_double();
  if (a.is_string() && b.is_string()) return a.as_string() == b.as_string();
  if (a.is_bool() && b.is_bool()) return a.as_bool() == b.as_bool();
  if (a.is_array() && b.is_array())
    return std::equal(a.items().begin(), a.items().end(), b.items().begin(), b.items().end(), same_value);
  return false;
}

std::string rope_type_of(const ConfigReader& object) {
  const std::string type = object.text_or(object.has("rope_type") ? "rope_type" : "type", "default");
  return type == "mrope" ? "default" : type;
}

// Both keys are written for readers of either age, or where somebody put YaRN into the one that is not read.
void check_said_twice(const ConfigReader& config) {
  if (!config.has("rope_parameters") || !config.has("rope_scaling")) return;
  const ConfigReader read = config.child("rope_parameters"), older = config.child("rope_scaling");
  if (rope_type_of(read) != rope_type_of(older)) {
    config.invalid("rope_scaling", "is of type \"" + rope_type_of(older) +
                                       "\", but \"rope_parameters\" is \"" + rope_type_of(read) +
                                       "\": take one of them out");
  }
  for (const auto& [key, value] : config.find("rope_scaling")->members()) {
    const Json* other = read.find(key);
    if (key == "type" || key == "rope_type" || value.is_null() || (other && same_value(value, *other)))
      continue;
    older.invalid(key, "is not what \"rope_parameters\" says: take one of them out");
  }
}

// The scaling's own object: `rope_scaling` before transformers 5, `rope_parameters` (theta inside) since.
std::optional<ConfigReader> rope_object(const ConfigReader& config) {
  check_said_twice(config);
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (config.has(key)) return config.child(key);
  }
  return std::nullopt;
}

// 0.1 · mscale · ln(factor) + 1, by which YaRN sharpens attention.
double yarn_scale(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

double positive_or(const ConfigReader& object, const char* key, double otherwise) {
  return object.has(key) ? object.number(key, 1e-6, 1e6) : otherwise;
}

// As transformers reads it: zero is like absent for mscale and mscale_all_dim.
void parse_yarn(const ConfigReader& object, int max_positions, RopeSpec& rope) {
  rope.scaling = RopeScaling::kYarn;
  const char* original = "original_max_position_embeddings";
  if (rope.theta <= 1) object.invalid("rope_theta", "must be larger than 1 where rope_type is yarn");
  rope.original_max_positions = object.has(original) ? object.number(original, 1, 1e9) : max_positions;
  const double stretched = std::max(1.0, max_positions / rope.original_max_positions);
  rope.factor = object.has("factor") ? object.number("factor", 1, 1e6) : stretched;
  rope.beta_fast = positive_or(object, "beta_fast", 32);
  rope.beta_slow = positive_or(object, "beta_slow", 1);
  if (rope.beta_fast < rope.beta_slow) object.invalid("beta_fast", "must not be smaller than beta_slow");
  rope.truncate = object.flag_or("truncate", true);
  const auto mscale = [&](const char* key) { return object.has(key) ? object.number(key, 0, 1e3) : 0; };
  const double some = mscale("mscale"), all = mscale("mscale_all_dim");
  const double scale = some > 0 && all > 0 ? yarn_scale(rope.factor, some) / yarn_scale(rope.factor, all)
                                           : yarn_scale(rope.factor, 1);
  rope.attention_factor = positive_or(object, "attention_factor", scale);
}

RopeSpec parse_rope(const ConfigReader& config, double default_theta, int max_positions) {
  RopeSpec rope;
  const std::optional<ConfigReader> object = rope_object(config);
  const ConfigReader& theta_in = object && object->has("rope_theta") ? *object : config;
  const bool absent = default_theta > 0 && !theta_in.has("rope_theta");
  rope.theta = absent ? default_theta : theta_in.number("rope_theta", 1, 1e12);
  for (const ConfigReader* reader : {&config, object ? &*object : nullptr}) {
    if (reader && reader->has("partial_rotary_factor") &&
        reader->number("partial_rotary_factor", 0, 1) != 1) {
      reader->unsupported("partial_rotary_factor", "must be 1: rotating part of a head is not supported");
    }
  }
  if (!object) return rope;

  const std::string key = object->has("rope_type") ? "rope_type" : "type";
  const std::string type = object->text_or(key, "default");
  // mrope: by sections of the frequencies, which the families that have them read; of a text it is the default.
  if (type == "default" || type == "none" || type == "mrope") return rope;
  if (type != "linear" && type != "dynamic" && type != "llama3" && type != "yarn") {
    object->unsupported(key, "is \"" + type + "\"; default, linear, dynamic, llama3 and yarn are supported");
  }
  if (type == "yarn") {
    parse_yarn(*object, max_positions, rope);
    return rope;
  }
  rope.factor = object->number("factor", 1, 1e6);
  if (type == "linear") {
    rope.scaling = RopeScaling::kLinear;
  } else if (type == "dynamic") {
    rope.scaling = RopeScaling::kDynamic;
  } else {
    rope.scaling = RopeScaling::kLlama3;
    rope.low_freq_factor = object->number("low_freq_factor", 1e-3, 1e6);
    rope.high_freq_factor = object->number("high_freq_factor", 1e-3, 1e6);
    rope.original_max_positions = object->number("original_max_position_embeddings", 1, 1e9);
    if (rope.high_freq_factor <= rope.low_freq_factor) {
      object->invalid("high_freq_factor", "must be larger than low_freq_factor");
    }
  }
  return rope;
}

}  // namespace

DecoderSpec parse_decoder_extents(const ConfigReader& config, double default_theta, int default_head_dim) {
  if (const std::string act = config.text("hidden_act"); act != "silu" && act != "swish") {
    config.unsupported("hidden_act", "is \"" + act + "\"; silu is supported");
  }
  DecoderSpec spec;
  spec.hidden_C = config.integer("hidden_size", 1, 1 << 20);
  spec.intermediate_F = config.integer("intermediate_size", 1, 1 << 22);
  spec.layers_L = config.integer("num_hidden_layers", 1, 1024);
  spec.heads_H = config.integer("num_attention_heads", 1, 1 << 14);
  // Absent in configs older than grouped queries: one key/value head per query head.
  spec.kv_heads_G = config.integer_or("num_key_value_heads", spec.heads_H, 1, 1 << 14);
  if (spec.heads_H % spec.kv_heads_G != 0) {
    config.invalid("num_key_value_heads", "must divide num_attention_heads, " + std::to_string(spec.heads_H));
  }
  if (config.has("head_dim") || default_head_dim > 0) {
    spec.head_dim_D = config.integer_or("head_dim", default_head_dim, 2, 1 << 12);
  } else {
    if (spec.hidden_C % spec.heads_H != 0) {
      config.invalid("hidden_size", "must be a multiple of num_attention_heads where head_dim is absent");
    }
    spec.head_dim_D = spec.hidden_C / spec.heads_H;
  }
  if (spec.head_dim_D % 2 != 0) {
    config.invalid(config.has("head_dim") ? "head_dim" : "hidden_size",
                   "gives heads of odd size, which cannot rotate");
  }
  if (spec.head_dim_D > kMaxHeadDim) {
    config.unsupported(config.has("head_dim") ? "head_dim" : "hidden_size",
                       "gives heads of size " + std::to_string(spec.head_dim_D) + "; at most " +
                           std::to_string(kMaxHeadDim) + " is supported");
  }
  spec.embed_rows = spec.vocab_V = config.integer("vocab_size", 1, kMaxFixedTerms);
  spec.rms_eps = static_cast<float>(config.number("rms_norm_eps", 0, 1));
  spec.max_positions = config.integer("max_position_embeddings", 1, 1 << 30);
  spec.rope = parse_rope(config, default_theta, spec.max_positions);
  if (spec.rope.scaling == RopeScaling::kYarn) {
    // Configs name the positions before or after they were stretched; published ones do either.
    const double stretched = spec.rope.factor * spec.rope.original_max_positions;
    spec.max_positions = std::max(spec.max_positions, int(std::min(stretched, double(1 << 30))));
  }
  return spec;
}

}  // namespace mmprm
