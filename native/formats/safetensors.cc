#include "formats/safetensors.h"

#include <algorithm>
#include <string_view>

#include "formats/json.h"
#include "include/engine/error.h"

namespace mmprm {
namespace {

constexpr uint64_t kLengthBytes = 8;

[[noreturn]] void fail(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::kInvalidModel, where + ": " + what);
}

std::string quoted(const std::string& name) { return "tensor \"" + name + "\""; }

// Bits of one element; 0 for a dtype that this reader does not know (its byte count is then not checked).
uint64_t element_bits(std::string_view dtype) {
  if (dtype == "BOOL" || dtype == "U8" || dtype == "I8" || dtype.starts_with("F8_")) return 8;
  if (dtype == "BF16" || dtype == "F16" || dtype == "I16" || dtype == "U16") return 16;
  if (dtype == "F32" || dtype == "I32" || dtype == "U32") return 32;
  if (dtype == "F64" || dtype == "I64" || dtype == "U64") return 64;
  return 0;
}

std::vector<int64_t> read_shape(const Json& json, const std::string& where) {
  if (!json.is_array())
    fail(where, std::string("\"shape\" must be an array of integers, not ") + json.kind_name());
  std::vector<int64_t> shape;
  for (const Json& item : json.items()) {
    if (!item.is_integer() || item.as_integer() < 0) fail(where, "\"shape\" must hold integers from 0 up");
    shape.push_back(item.as_integer());
  }
  return shape;
}

void check_byte_count(const SafetensorsEntry& entry, const std::string& where) {
  const uint64_t bits = element_bits(entry.dtype);
  if (bits == 0) return;
  uint64_t bytes = bits / 8;
  for (int64_t extent : entry.shape) {
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(extent), &bytes)) {
      fail(where, "the shape has more elements than can be counted");
    }
  }
  if (bytes != entry.end - entry.begin) {
    fail(where, "its dtype and shape need " + std::to_string(bytes) + " bytes, its data_offsets span " +
                    std::to_string(entry.end - entry.begin));
  }
}

// `data_begin`: where the tensors start in the file; the offsets in the header count from there.
SafetensorsEntry read_entry(const JsonMember& member, const std::string& path, uint64_t data_begin,
                            uint64_t data_bytes) {
  const std::string where = path + ": " + quoted(member.key);
  if (!member.value.is_object()) fail(where, "must be an object with dtype, shape and data_offsets");
  for (const JsonMember& field : member.value.members()) {
    if (field.key != "dtype" && field.key != "shape" && field.key != "data_offsets") {
      fail(where, "unknown field \"" + field.key + "\" (dtype, shape and data_offsets are known)");
    }
  }
  const Json* dtype = member.value.find("dtype");
  const Json* shape = member.value.find("shape");
  const Json* offsets = member.value.find("data_offsets");
  if (!dtype || !dtype->is_string()) fail(where, "\"dtype\" must be a string");
  if (!shape) fail(where, "\"shape\" is missing");
  if (!offsets || !offsets->is_array() || offsets->items().size() != 2 || !offsets->items()[0].is_integer() ||
      !offsets->items()[1].is_integer()) {
    fail(where, "\"data_offsets\" must be two integers");
  }
  const int64_t begin = offsets->items()[0].as_integer(), end = offsets->items()[1].as_integer();
  if (begin < 0 || end < begin) fail(where, "\"data_offsets\" must rise from 0 up");
  if (static_cast<uint64_t>(end) > data_bytes) {
    fail(where, "its data end at byte " + std::to_string(end) + ", but the file holds only " +
                    std::to_string(data_bytes) + " bytes of data (a truncated download?)");
  }
  SafetensorsEntry entry{member.key, dtype->as_string(), read_shape(*shape, where), data_begin + begin,
                         data_begin + end};
  check_byte_count(entry, where);
  return entry;
}

void check_metadata(const Json& metadata, const std::string& path) {
  const std::string where = path + ": \"__metadata__\"";
  if (!metadata.is_object()) fail(where, "must be an object of strings");
  for (const JsonMember& member : metadata.members()) {
    if (!member.value.is_string()) fail(where, "\"" + member.key + "\" must be a string");
  }
}

// INVARIANT of the format: the tensors cover the data without gap or overlap.
void check_coverage(const std::vector<SafetensorsEntry>& entries, const MappedFile& file,
                    uint64_t data_begin) {
  uint64_t covered = data_begin;
  for (size_t i = 0; i < entries.size(); ++i) {
    const SafetensorsEntry& entry = entries[i];
    const std::string where = file.path() + ": " + quoted(entry.name);
    if (entry.begin < covered) fail(where, "its data overlap those of " + quoted(entries[i - 1].name));
    if (entry.begin > covered) {
      fail(where, std::to_string(entry.begin - covered) + " bytes before its data belong to no tensor");
    }
    covered = entry.end;
  }
  if (covered != file.size()) {
    fail(file.path(), std::to_string(file.size() - covered) + " bytes at the end belong to no tensor");
  }
}

}  // namespace

std::vector<SafetensorsEntry> read_safetensors_header(const MappedFile& file) {
  if (file.size() < kLengthBytes) {
    fail(file.path(),
         "has " + std::to_string(file.size()) + " bytes; a safetensors file begins with 8 bytes of length");
  }
  uint64_t length = 0;
  for (uint64_t i = kLengthBytes; i-- > 0;) length = length << 8 | std::to_integer<uint64_t>(file.data()[i]);
  const uint64_t available = file.size() - kLengthBytes;
  if (length > Json::kMaxBytes) {
    fail(file.path(), "claims a header of " + std::to_string(length) + " bytes; at most " +
                          std::to_string(Json::kMaxBytes) + " are allowed (not a safetensors file?)");
  }
  if (length > available) {
    fail(file.path(), "claims a header of " + std::to_string(length) + " bytes, but only " +
                          std::to_string(available) + " follow (a truncated download?)");
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data() + kLengthBytes), length);
  const Json header = Json::parse(text, file.path() + " (header)");
  if (!header.is_object())
    fail(file.path(), std::string("the header must be an object, not ") + header.kind_name());

  const uint64_t data_begin = kLengthBytes + length, data_bytes = file.size() - data_begin;
  std::vector<SafetensorsEntry> entries;
  for (const JsonMember& member : header.members()) {
    if (member.key == "__metadata__") {
      check_metadata(member.value, file.path());
    } else {
      entries.push_back(read_entry(member, file.path(), data_begin, data_bytes));
    }
  }
  std::sort(entries.begin(), entries.end(), [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  check_coverage(entries, file, data_begin);
  return entries;
}

}  // namespace mmprm
