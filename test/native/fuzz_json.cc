// The JSON reader: whatever it takes can be written out and read again to the same value.
#include <charconv>
#include <set>
#include <stdexcept>

#include "formats/json.h"
#include "fuzz.h"

namespace mmprm {
namespace {

void write_string(const std::string& text, std::string& out) {
  out += '"';
  for (unsigned char c : text) {
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, c < 0x20 || c == '"' || c == '\\' ? "\\u%04x" : "%c", c);
    if (c == 0x7f || c >= 0x80) {
      out += static_cast<char>(c);
    } else {
      out += escaped;
    }
  }
  out += '"';
}

void write(const Json& json, int depth, std::string& out) {
  if (depth > Json::kMaxDepth + 1) throw std::logic_error("deeper than allowed");
  if (json.is_null()) {
    out += "null";
  } else if (json.is_bool()) {
    out += json.as_bool() ? "true" : "false";
  } else if (json.is_integer()) {
    out += std::to_string(json.as_integer());
  } else if (json.is_number()) {
    char text[40];
    std::snprintf(text, sizeof text, "%.17e", json.as_double());
    out += text;
  } else if (json.is_string()) {
    write_string(json.as_string(), out);
  } else if (json.is_array()) {
    out += '[';
    for (const Json& item : json.items()) {
      write(item, depth + 1, out);
      out += ',';
    }
    if (out.back() == ',') out.pop_back();
    out += ']';
  } else {
    std::set<std::string> keys;
    out += '{';
    for (const JsonMember& member : json.members()) {
      if (!keys.insert(member.key).second) throw std::logic_error("a key twice: " + member.key);
      if (json.find(member.key) != &member.value) throw std::logic_error("a key is not found: " + member.key);
      write_string(member.key, out);
      out += ':';
      write(member.value, depth + 1, out);
      out += ',';
    }
    if (out.back() == ',') out.pop_back();
    out += '}';
  }
}

std::string written(const Json& json) {
  std::string out;
  write(json, 0, out);
  return out;
}

bool read_json(const std::string& bytes, Mutator&) {
  const std::string once = written(Json::parse(bytes, "fuzz"));
  std::string twice;
  try {
    twice = written(Json::parse(once, "fuzz"));
  } catch (const Error& error) {
    throw std::logic_error(std::string("what was written cannot be read: ") + error.what());
  }
  if (once != twice) throw std::logic_error("written and read again: " + once + " became " + twice);
  return true;
}

}  // namespace
}  // namespace mmprm

int main(int argc, char** argv) {
  const mmprm::FuzzTarget target{
      "fuzz_json",
      {R"({"hidden_size": 64, "rope_theta": 1e6, "x": [true, false, null, -0.5, "a\u00e9\ud83d\ude00\n"], "y": {}})",
       R"([9223372036854775807, -9223372036854775808, 9223372036854775808, 1.7976931348623157e308, 0, -0, 5e-324])",
       R"({"a": {"b": {"c": [[[[]]]]}}, "é": "日本", "": ""})", " \t\r\n\"x\" ", "12"},
      {"{",
       "}",
       "[",
       "]",
       ",",
       ":",
       "\"",
       "\\",
       "\\u",
       "\\ud800",
       "\\udc00",
       "true",
       "null",
       "1e999",
       "-",
       "0",
       ".",
       "e+",
       "\xc3",
       "\xed\xa0\x80",
       "\xf4\x90\x80\x80",
       "\xff",
       std::string(1, '\0'),
       "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
       "\"a\":1,"},
      mmprm::read_json};
  return mmprm::run_fuzzer(target, argc, argv);
}
