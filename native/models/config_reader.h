// Typed reading of one object of a config. Every complaint names file and key ("llm_config.hidden_size").
// A key that is null counts as absent: that is how transformers writes "not set".
#pragma once
#include <optional>
#include <string>

#include "formats/json.h"
#include "include/engine/error.h"

namespace mmprm {

class ConfigReader {
 public:
  // `prefix` is the path of `object` in its file, empty or ending in a dot. Both must outlive the reader.
  // `class_defaults`, an object or null, stands in for absent keys (see internvl_native.cc for the one use).
  ConfigReader(const Json& object, std::string file, std::string prefix = "",
               const Json* class_defaults = nullptr)
      : object_(object),
        file_(std::move(file)),
        prefix_(std::move(prefix)),
        class_defaults_(class_defaults) {}

  ConfigReader child(const std::string& key, const Json* class_defaults = nullptr) const;
  const Json* find(const std::string& key) const;  // null where absent or null
  bool has(const std::string& key) const { return find(key) != nullptr; }

  // Each throws kInvalidModel where the key is absent, of another kind or out of range.
  int integer(const std::string& key, int min, int max) const;
  double number(const std::string& key, double min, double max) const;
  bool flag(const std::string& key) const;
  std::string text(const std::string& key) const;

  // The same with a stated value for absent keys.
  int integer_or(const std::string& key, int fallback, int min, int max) const;
  bool flag_or(const std::string& key, bool fallback) const;
  std::string text_or(const std::string& key, const std::string& fallback) const;
  std::optional<bool> try_flag(const std::string& key) const;

  std::string where(const std::string& key) const { return file_ + ": \"" + prefix_ + key + "\""; }
  [[noreturn]] void invalid(const std::string& key, const std::string& what) const {
    throw Error(ErrorCode::kInvalidModel, where(key) + " " + what);
  }
  [[noreturn]] void unsupported(const std::string& key, const std::string& what) const {
    throw Error(ErrorCode::kUnsupportedModel, where(key) + " " + what);
  }

 private:
  const Json& require(const std::string& key) const;

  const Json& object_;
  std::string file_, prefix_;
  const Json* class_defaults_;
};

}  // namespace mmprm
