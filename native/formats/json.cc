#include "formats/json.h"

#include <charconv>
#include <unordered_set>

#include "include/engine/error.h"

namespace mmprm {
namespace {

// Length of the well-formed UTF-8 sequence at the front of `s` (Unicode table 3-7), 0 where there is none.
size_t utf8_length(std::string_view s) {
  const auto byte = [&](size_t i) { return i < s.size() ? static_cast<unsigned char>(s[i]) : 0u; };
  const auto tail = [&](size_t i) { return (byte(i) & 0xc0u) == 0x80u; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return s.empty() ? 0 : 1;
  if (lead >= 0xc2 && lead <= 0xdf) return tail(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    const bool overlong = lead == 0xe0 && byte(1) < 0xa0;
    const bool surrogate = lead == 0xed && byte(1) > 0x9f;
    return tail(1) && tail(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const bool overlong = lead == 0xf0 && byte(1) < 0x90;
    const bool too_large = lead == 0xf4 && byte(1) > 0x8f;
    return tail(1) && tail(2) && tail(3) && !overlong && !too_large ? 4 : 0;
  }
  return 0;
}

void append_utf8(std::string& out, uint32_t c) {
  const auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | c >> 6), put(0x80 | (c & 63));
  } else if (c < 0x10000) {
    put(0xe0 | c >> 12), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
  } else {
    put(0xf0 | c >> 18), put(0x80 | (c >> 12 & 63)), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
  }
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

[[noreturn]] void wrong_kind(const char* expected, const Json& found) {
  throw Error(ErrorCode::kInvalidModel, std::string("expected ") + expected + ", found " + found.kind_name());
}

}  // namespace

class JsonParser {
 public:
  JsonParser(std::string_view text, const std::string& source) : text_(text), source_(source) {}

  Json parse_document() {
    if (text_.size() > Json::kMaxBytes) fail("is longer than " + std::to_string(Json::kMaxBytes) + " bytes");
    Json value = parse_value(0);
    skip_space();
    if (at_ < text_.size()) fail("unexpected text after the end of the value");
    return value;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at_ && i < text_.size(); ++i) {
      column = text_[i] == '\n' ? 1 : column + 1;
      line += text_[i] == '\n';
    }
    throw Error(ErrorCode::kInvalidModel, source_ + ": not valid JSON at line " + std::to_string(line) +
                                              ", column " + std::to_string(column) + ": " + what);
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\n\r").find(text_[at_]) != std::string_view::npos)
      ++at_;
  }

  bool try_take(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool try_take_word(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  Json parse_value(int depth) {
    skip_space();
    if (depth > Json::kMaxDepth) fail("nested deeper than " + std::to_string(Json::kMaxDepth) + " levels");
    if (++num_values_ > Json::kMaxValues) fail("more than " + std::to_string(Json::kMaxValues) + " values");
    if (at_ >= text_.size()) fail("the text ends where a value should stand");
    Json out;
    const char c = text_[at_];
    if (c == '{') {
      out.value_ = parse_object(depth);
    } else if (c == '[') {
      out.value_ = parse_array(depth);
    } else if (c == '"') {
      out.value_ = parse_string();
    } else if (c == '-' || is_digit(c)) {
      parse_number(out);
    } else if (try_take_word("true")) {
      out.value_ = true;
    } else if (try_take_word("false")) {
      out.value_ = false;
    } else if (!try_take_word("null")) {
      fail("expected a value");
    }
    return out;
  }

  std::vector<JsonMember> parse_object(int depth) {
    std::vector<JsonMember> members;
    std::unordered_set<std::string> seen;
    ++at_;  // {
    if (try_take('}')) return members;
    do {
      skip_space();
      if (peek() != '"') fail("expected a key in double quotes");
      const size_t key_at = at_;
      std::string key = parse_string();
      if (!seen.insert(key).second) {
        at_ = key_at;
        fail("the key \"" + key + "\" stands here a second time");
      }
      if (!try_take(':')) fail("expected ':' after the key \"" + key + "\"");
      Json value = parse_value(depth + 1);
      members.push_back({std::move(key), std::move(value)});
    } while (try_take(','));
    if (!try_take('}')) fail("expected ',' or '}'");
    return members;
  }

  std::vector<Json> parse_array(int depth) {
    std::vector<Json> items;
    ++at_;  // [
    if (try_take(']')) return items;
    do {
      items.push_back(parse_value(depth + 1));
    } while (try_take(','));
    if (!try_take(']')) fail("expected ',' or ']'");
    return items;
  }

  std::string parse_string() {
    std::string out;
    for (++at_;;) {
      if (at_ >= text_.size()) fail("the text ends inside a string");
      const unsigned char c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') break;
      if (c == '\\') {
        parse_escape(out);
        continue;
      }
      if (c < 0x20) fail("control characters in strings must be escaped");
      const size_t length = utf8_length(text_.substr(at_));
      if (length == 0) fail("not valid UTF-8");
      out.append(text_.substr(at_, length));
      at_ += length;
    }
    ++at_;
    return out;
  }

  void parse_escape(std::string& out) {
    ++at_;  // backslash
    const char c = peek();
    constexpr std::string_view kLetters = "\"\\/bfnrt", kMeaning = "\"\\/\b\f\n\r\t";
    if (const size_t i = kLetters.find(c); i != std::string_view::npos) {
      out.push_back(kMeaning[i]);
      ++at_;
      return;
    }
    if (c != 'u') fail("unknown escape sequence");
    uint32_t code = parse_hex4();
    if (code >= 0xd800 && code < 0xdc00) {
      if (!text_.substr(at_).starts_with("\\u")) fail("a high surrogate without its low one");
      ++at_;
      const uint32_t low = parse_hex4();
      if (low < 0xdc00 || low > 0xdfff) fail("a high surrogate without its low one");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code <= 0xdfff) {
      fail("a low surrogate without its high one");
    }
    append_utf8(out, code);
  }

  uint32_t parse_hex4() {
    ++at_;  // u
    uint32_t code = 0;
    const char* begin = text_.data() + at_;
    const size_t available = text_.size() - at_;
    const auto [end, error] = std::from_chars(begin, begin + (available < 4 ? available : 4), code, 16);
    if (error != std::errc() || end != begin + 4) fail("\\u must be followed by four hexadecimal digits");
    at_ += 4;
    return code;
  }

  void parse_number(Json& out) {
    const size_t begin = at_;
    const auto take_digits = [&] {
      if (!is_digit(peek())) fail("expected a digit");
      while (is_digit(peek())) ++at_;
    };
    if (peek() == '-') ++at_;
    if (peek() == '0' && at_ + 1 < text_.size() && is_digit(text_[at_ + 1]))
      fail("a number with a leading zero");
    take_digits();
    bool integral = true;
    if (peek() == '.') {
      integral = false;
      ++at_;
      take_digits();
    }
    if (peek() == 'e' || peek() == 'E') {
      integral = false;
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      take_digits();
    }
    const char *first = text_.data() + begin, *last = text_.data() + at_;
    int64_t whole = 0;
    if (integral && std::from_chars(first, last, whole).ec == std::errc()) {
      out.value_ = whole;
      return;
    }
    double number = 0;
    if (std::from_chars(first, last, number).ec != std::errc()) fail("a number out of the range of a double");
    out.value_ = number;
  }

  std::string_view text_;
  const std::string& source_;
  size_t at_ = 0;
  size_t num_values_ = 0;
};

Json Json::parse(std::string_view text, const std::string& source) {
  return JsonParser(text, source).parse_document();
}

const char* Json::kind_name() const {
  constexpr const char* kNames[] = {"null",     "a boolean", "a number", "a number",
                                    "a string", "an array",  "an object"};
  return kNames[value_.index()];
}

bool Json::as_bool() const {
  if (!is_bool()) wrong_kind("a boolean", *this);
  return std::get<bool>(value_);
}

int64_t Json::as_integer() const {
  if (!is_integer()) wrong_kind("an integer", *this);
  return std::get<int64_t>(value_);
}

double Json::as_double() const {
  if (!is_number()) wrong_kind("a number", *this);
  return is_integer() ? static_cast<double>(std::get<int64_t>(value_)) : std::get<double>(value_);
}

const std::string& Json::as_string() const {
  if (!is_string()) wrong_kind("a string", *this);
  return std::get<std::string>(value_);
}

const std::vector<Json>& Json::items() const {
  if (!is_array()) wrong_kind("an array", *this);
  return std::get<std::vector<Json>>(value_);
}

const std::vector<JsonMember>& Json::members() const {
  if (!is_object()) wrong_kind("an object", *this);
  return std::get<std::vector<JsonMember>>(value_);
}

const Json* Json::find(std::string_view key) const {
  if (!is_object()) return nullptr;
  for (const JsonMember& member : members()) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

}  // namespace mmprm
