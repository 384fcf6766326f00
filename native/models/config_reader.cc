#include "models/config_reader.h"

#include <charconv>
#include <cmath>

namespace mmprm {
namespace {

std::string plain(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::general, 9).ptr;
  return std::string(text, end);
}

}  // namespace

const Json* ConfigReader::find(const std::string& key) const {
  const Json* value = object_.find(key);
  if (!value && class_defaults_) value = class_defaults_->find(key);
  return value && !value->is_null() ? value : nullptr;
}

const Json& ConfigReader::require(const std::string& key) const {
  const Json* value = find(key);
  if (!value) invalid(key, "is missing");
  return *value;
}

ConfigReader ConfigReader::child(const std::string& key, const Json* class_defaults) const {
  const Json& value = require(key);
  if (!value.is_object()) invalid(key, std::string("must be an object, not ") + value.kind_name());
  return ConfigReader(value, file_, prefix_ + key + ".", class_defaults);
}

int ConfigReader::integer(const std::string& key, int min, int max) const {
  const double value = number(key, min, max);
  if (value != std::floor(value)) invalid(key, "must be a whole number, not " + plain(value));
  return static_cast<int>(value);
}

double ConfigReader::number(const std::string& key, double min, double max) const {
  const Json& value = require(key);
  if (!value.is_number()) invalid(key, std::string("must be a number, not ") + value.kind_name());
  const double number = value.as_double();
  if (!(number >= min && number <= max)) {
    invalid(key, "is " + plain(number) + "; it must lie between " + plain(min) + " and " + plain(max));
  }
  return number;
}

bool ConfigReader::flag(const std::string& key) const {
  const Json& value = require(key);
  if (!value.is_bool()) invalid(key, std::string("must be true or false, not ") + value.kind_name());
  return value.as_bool();
}

std::string ConfigReader::text(const std::string& key) const {
  const Json& value = require(key);
  if (!value.is_string()) invalid(key, std::string("must be a string, not ") + value.kind_name());
  return value.as_string();
}

int ConfigReader::integer_or(const std::string& key, int fallback, int min, int max) const {
  return has(key) ? integer(key, min, max) : fallback;
}

bool ConfigReader::flag_or(const std::string& key, bool fallback) const {
  return has(key) ? flag(key) : fallback;
}

std::string ConfigReader::text_or(const std::string& key, const std::string& fallback) const {
  return has(key) ? text(key) : fallback;
}

std::optional<bool> ConfigReader::try_flag(const std::string& key) const {
  return has(key) ? std::optional(flag(key)) : std::nullopt;
}

}  // namespace mmprm
