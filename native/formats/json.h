// Strict JSON (RFC 8259) for configs and tensor headers: valid UTF-8 only, no duplicate keys, nothing after
// the value, bounded depth, bytes and number of values. Objects keep the order of their keys.
// Errors are kInvalidModel and say source, line and column (in bytes, both from 1).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace mmprm {

struct JsonMember;

class Json {
 public:
  static constexpr size_t kMaxBytes = 100'000'000, kMaxValues = 2'000'000;
  static constexpr int kMaxDepth = 64;

  Json() = default;  // null
  // `source` names the text in messages: a file path, perhaps with the part of the file.
  static Json parse(std::string_view text, const std::string& source);

  bool is_null() const { return std::holds_alternative<std::nullptr_t>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(value_); }
  bool is_integer() const { return std::holds_alternative<int64_t>(value_); }  // written so, and fits
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<std::vector<Json>>(value_); }
  bool is_object() const { return std::holds_alternative<std::vector<JsonMember>>(value_); }
  const char* kind_name() const;  // "a string", "an object" …

  // Each throws kInvalidModel where the value is of another kind.
  bool as_bool() const;
  int64_t as_integer() const;
  double as_double() const;
  const std::string& as_string() const;
  const std::vector<Json>& items() const;
  const std::vector<JsonMember>& members() const;

  // Null where the key is absent or this is no object.
  const Json* find(std::string_view key) const;

 private:
  friend class JsonParser;
  std::variant<std::nullptr_t, bool, int64_t, double, std::string, std::vector<Json>, std::vector<JsonMember>>
      value_ = nullptr;
};

struct JsonMember {
  std::string key;
  Json value;
};

}  // namespace mmprm
